# Language, warnings, linker, sanitizers, ccache: whatever holds for all targets.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON) # everything ends in a Python extension
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)   # clang-tidy, clangd
# Executables are compiled as libraries are: clang refuses a precompiled header
# that was made with -fPIC where -fPIE is asked for.
set(CMAKE_CXX_COMPILE_OPTIONS_PIE "${CMAKE_CXX_COMPILE_OPTIONS_PIC}")

# Build type "Dev": optimised as users run it, assertions on, no debug info
# (debug info triples link time and disk use with MLIR's templates).
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Dev CACHE STRING "Dev, Release, RelWithDebInfo or Debug" FORCE)
endif()
set(CMAKE_C_FLAGS_DEV "-O2")
set(CMAKE_CXX_FLAGS_DEV "-O2")

# Warnings; the ci preset turns them into errors. LLVM's overrides leave many
# parameters unused on purpose, so that one is off, as in LLVM itself.
add_compile_options(
  -Wall -Wextra -Wno-unused-parameter
  $<$<COMPILE_LANGUAGE:CXX>:-fvisibility-inlines-hidden>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_compile_options(-Wimplicit-fallthrough -Wsuggest-override)
  if(CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 20)
    add_compile_options("--warning-suppression-mappings=${CMAKE_CURRENT_LIST_DIR}/warnings.txt")
  endif()
else()
  # gcc 12 reports these inside LLVM's own headers.
  add_compile_options(-Wno-dangling-reference -Wno-maybe-uninitialized -Wno-comment)
endif()

if(TESSERA_SANITIZE)
  add_compile_options(-fsanitize=${TESSERA_SANITIZE} -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=${TESSERA_SANITIZE})
  if(TESSERA_SANITIZE MATCHES "undefined")
    # LLVM casts between classes that it does not link type information for.
    add_compile_options(-fno-sanitize=vptr -fno-sanitize-recover=undefined)
  endif()
endif()

# lld: a link takes a second instead of a minute.
find_program(TESSERA_LLD NAMES ld.lld HINTS /usr/lib/llvm-22/bin)
if(TESSERA_LLD AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_link_options(-fuse-ld=lld)
  set(TESSERA_USES_LLD ON)
endif()

# ccache: precompiled headers need the two sloppiness flags, and clang must not
# write time stamps into them, or nothing that uses one would ever hit.
find_program(TESSERA_CCACHE ccache)
if(TESSERA_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(launcher "${CMAKE_COMMAND}" -E env
      "CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime"
      "${TESSERA_CCACHE}")
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:SHELL:-Xclang -fno-pch-timestamp>")
endif()

# Headers are named from the root: "compiler/graph/ir/GraphOps.h"; generated
# ones lie under the same path in the build folder.
include_directories("${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}")
