# Prefers clang 22 (half the time and memory of g++ 12 on MLIR's headers) and
# lets the user's own choice stand: -DCMAKE_CXX_COMPILER, or CC and CXX. In a
# wheel's build CC and CXX are not the user's: scikit-build-core sets them to
# whatever compiled Python.
set(choose_compiler ON)
if(DEFINED CMAKE_CXX_COMPILER)
  set(choose_compiler OFF)
elseif(NOT SKBUILD AND NOT "$ENV{CC}$ENV{CXX}" STREQUAL "")
  set(choose_compiler OFF)
endif()
if(choose_compiler)
  find_program(TESSERA_CLANG NAMES clang-22 clang HINTS /usr/lib/llvm-22/bin NO_DEFAULT_PATH)
  find_program(TESSERA_CLANG NAMES clang-22)
  find_program(TESSERA_CLANGXX NAMES clang++-22 clang++ HINTS /usr/lib/llvm-22/bin NO_DEFAULT_PATH)
  find_program(TESSERA_CLANGXX NAMES clang++-22)
  if(TESSERA_CLANG AND TESSERA_CLANGXX)
    set(CMAKE_C_COMPILER "${TESSERA_CLANG}")
    set(CMAKE_CXX_COMPILER "${TESSERA_CLANGXX}")
  endif()
endif()
