# Prefers clang 22 (half the time and memory of g++ 12 on MLIR's headers) and
# lets the user's own choice (CC, CXX, -DCMAKE_CXX_COMPILER) stand.
if(NOT DEFINED CMAKE_CXX_COMPILER AND "$ENV{CXX}" STREQUAL "" AND "$ENV{CC}" STREQUAL "")
  find_program(TESSERA_CLANG NAMES clang-22 HINTS /usr/lib/llvm-22/bin)
  find_program(TESSERA_CLANGXX NAMES clang++-22 clang++ HINTS /usr/lib/llvm-22/bin)
  if(TESSERA_CLANG AND TESSERA_CLANGXX)
    set(CMAKE_C_COMPILER "${TESSERA_CLANG}")
    set(CMAKE_CXX_COMPILER "${TESSERA_CLANGXX}")
  endif()
endif()
