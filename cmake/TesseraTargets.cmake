# The four shapes a directory can take. Sources are globbed with
# CONFIGURE_DEPENDS, so adding a file needs no edit here; a directory without
# sources is skipped, and a dependency that was skipped is dropped.

# All generated headers, so that no library compiles before they exist.
add_custom_target(tessera-tablegen)

# Keeps the targets of `in` that exist.
function(tessera_existing_targets out)
  set(found)
  foreach(target IN LISTS ARGN)
    if(TARGET ${target})
      list(APPEND found ${target})
    endif()
  endforeach()
  set(${out} ${found} PARENT_SCOPE)
endfunction()

# Options of every target that may see LLVM: no exceptions (LLVM has none), RTTI
# on (as in Debian's LLVM), the shared precompiled header.
function(tessera_use_llvm target)
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions>)
  target_link_libraries(${target} PUBLIC TesseraLLVM)
  add_dependencies(${target} tessera-tablegen)
  if(TESSERA_PCH AND TARGET TesseraPch AND NOT target STREQUAL "TesseraPch")
    target_precompile_headers(${target} REUSE_FROM TesseraPch)
  endif()
endfunction()

# tessera_compiler_library(<name> [DEPENDS <target>...])
# One static library from the .cpp files beside the CMakeLists.txt.
function(tessera_compiler_library name)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cpp")
  if(NOT sources)
    return()
  endif()
  add_library(${name} STATIC ${sources})
  tessera_use_llvm(${name})
  tessera_existing_targets(depends ${ARG_DEPENDS})
  target_link_libraries(${name} PUBLIC ${depends})
  set_property(GLOBAL APPEND PROPERTY TESSERA_COMPILER_LIBRARIES ${name})
endfunction()

# Runs mlir-tblgen once for each "<output>|<option>..." given.
macro(tessera_tablegen td)
  if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${td}")
    set(LLVM_TARGET_DEFINITIONS ${td})
    foreach(step ${ARGN})
      string(REPLACE "|" ";" step "${step}")
      mlir_tablegen(${step})
    endforeach()
  endif()
endmacro()

# tessera_dialect(<Name>) for <Name>Ops.td, which includes the dialect's other
# .td files. Enums and interfaces come from their own file where there is one:
# mlir-tblgen repeats the enums of every included file otherwise.
function(tessera_dialect name)
  file(GLOB tds CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.td")
  if(NOT tds)
    return()
  endif()
  string(TOLOWER ${name} dialect)
  set(enums ${name}Ops.td)
  if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${name}Enums.td")
    set(enums ${name}Enums.td)
  endif()
  tessera_tablegen(${name}Ops.td
    "${name}Dialect.h.inc|-gen-dialect-decls|-dialect=${dialect}"
    "${name}Dialect.cpp.inc|-gen-dialect-defs|-dialect=${dialect}"
    "${name}Ops.h.inc|-gen-op-decls"
    "${name}Ops.cpp.inc|-gen-op-defs"
    "${name}Types.h.inc|-gen-typedef-decls|-typedefs-dialect=${dialect}"
    "${name}Types.cpp.inc|-gen-typedef-defs|-typedefs-dialect=${dialect}"
    "${name}Attrs.h.inc|-gen-attrdef-decls|-attrdefs-dialect=${dialect}"
    "${name}Attrs.cpp.inc|-gen-attrdef-defs|-attrdefs-dialect=${dialect}"
    "${name}Ops.md|-gen-dialect-doc|-dialect=${dialect}")
  tessera_tablegen(${enums}
    "${name}Enums.h.inc|-gen-enum-decls"
    "${name}Enums.cpp.inc|-gen-enum-defs")
  foreach(kind Op Attr Type)
    set(file ${name}${kind}Interfaces)
    if(kind STREQUAL "Op")
      set(file ${name}Interfaces)
    endif()
    string(TOLOWER ${kind} option)
    tessera_tablegen(${file}.td
      "${file}.h.inc|-gen-${option}-interface-decls"
      "${file}.cpp.inc|-gen-${option}-interface-defs")
  endforeach()
  add_custom_target(Tessera${name}TableGen DEPENDS ${TABLEGEN_OUTPUT})
  add_dependencies(tessera-tablegen Tessera${name}TableGen)
endfunction()

# tessera_passes(<Name>) for Passes.td: Passes.h.inc with GEN_PASS_DECL,
# GEN_PASS_DEF_<PASS> and register<Name>Passes(), and Passes.md.
function(tessera_passes name)
  file(GLOB tds CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.td")
  if(NOT tds)
    return()
  endif()
  tessera_tablegen(Passes.td
    "Passes.h.inc|-gen-pass-decls|-name=${name}"
    "Passes.md|-gen-pass-doc")
  add_custom_target(Tessera${name}PassesTableGen DEPENDS ${TABLEGEN_OUTPUT})
  add_dependencies(tessera-tablegen Tessera${name}PassesTableGen)
endfunction()

# tessera_tool(<name> <sources>...): an executable that may use every library.
function(tessera_tool name)
  get_property(libraries GLOBAL PROPERTY TESSERA_COMPILER_LIBRARIES)
  add_executable(${name} ${ARGN})
  tessera_use_llvm(${name})
  tessera_existing_targets(runtime TesseraRuntime)
  target_link_libraries(${name} PRIVATE ${libraries} ${runtime})
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
endfunction()
