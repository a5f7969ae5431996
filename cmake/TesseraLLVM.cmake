# Finds MLIR 22 and offers it as one target, TesseraLLVM: the two dylibs in a
# development build, the archives in a self-contained wheel.

find_package(MLIR CONFIG QUIET
  HINTS "$ENV{MLIR_DIR}" "$ENV{LLVM_PREFIX}/lib/cmake/mlir" /usr/lib/llvm-22/lib/cmake/mlir)
# LLVM calls only equal minor versions compatible, so the major is compared here.
if(NOT MLIR_DIR OR NOT LLVM_VERSION_MAJOR EQUAL 22)
  message(FATAL_ERROR
    "MLIR 22 was not found. On Debian and Ubuntu: "
    "apt-get install libmlir-22-dev llvm-22-dev mlir-22-tools. Elsewhere pass "
    "-DMLIR_DIR=<llvm prefix>/lib/cmake/mlir.")
endif()
if(NOT LLVM_ENABLE_RTTI)
  message(FATAL_ERROR "This LLVM was built without RTTI; Tessera needs it (Debian's has it).")
endif()
message(STATUS "MLIR ${LLVM_PACKAGE_VERSION} from ${MLIR_DIR}")

list(APPEND CMAKE_MODULE_PATH "${MLIR_CMAKE_DIR}" "${LLVM_CMAKE_DIR}")
include(TableGen)
include(AddLLVM)
include(AddMLIR)

add_library(TesseraLLVM INTERFACE)
target_include_directories(TesseraLLVM SYSTEM INTERFACE ${MLIR_INCLUDE_DIRS} ${LLVM_INCLUDE_DIRS})
separate_arguments(llvm_definitions UNIX_COMMAND "${LLVM_DEFINITIONS}")
target_compile_definitions(TesseraLLVM INTERFACE ${llvm_definitions})

if(NOT TESSERA_STATIC_LLVM)
  target_link_libraries(TesseraLLVM INTERFACE MLIR LLVM)
else()
  # The imported targets mix archives and dylibs, which registers LLVM's options
  # twice and aborts at load; so the archives are passed by path, in one group.
  find_program(TESSERA_LLVM_CONFIG NAMES llvm-config llvm-config-22 REQUIRED
    HINTS "${LLVM_TOOLS_BINARY_DIR}" NO_DEFAULT_PATH)
  execute_process(COMMAND "${TESSERA_LLVM_CONFIG}" --link-static --libfiles X86 orcjit passes native
    OUTPUT_VARIABLE llvm_archives OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(llvm_archives UNIX_COMMAND "${llvm_archives}")
  file(GLOB mlir_archives "${LLVM_LIBRARY_DIR}/libMLIR*.a")
  # Tests, the C API and the transform dialect's operations drag in all of MLIR.
  list(FILTER mlir_archives EXCLUDE REGEX "libMLIR(.*Test.*|CAPI.*|.*TransformOps.*)\\.a$")
  target_link_libraries(TesseraLLVM INTERFACE
    -Wl,--start-group ${mlir_archives} ${llvm_archives} -Wl,--end-group
    z zstd dl pthread m)
  target_link_options(TesseraLLVM INTERFACE
    -Wl,--gc-sections -Wl,--exclude-libs,ALL)
  if(TESSERA_USES_LLD)
    target_link_options(TesseraLLVM INTERFACE -Wl,--icf=all)
  endif()
endif()
