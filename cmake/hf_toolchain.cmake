# Compiler settings shared by every target. Presets choose HF_SANITIZE and HF_FUZZ.
set(HF_SANITIZE "" CACHE STRING "address,undefined | thread | empty")
option(HF_FUZZ "build the libFuzzer targets (clang only) and leave gRPC out" OFF)

find_program(HF_CCACHE ccache)
if(HF_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${HF_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${HF_CCACHE})
endif()
find_program(HF_MOLD mold)
if(HF_MOLD AND NOT HF_FUZZ)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Werror -fno-omit-frame-pointer
                    -fstack-protector-strong -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # gcc 12 reports these falsely inside std::vector and std::variant at -O2.
  add_compile_options(-Wno-stringop-overflow -Wno-array-bounds -Wno-maybe-uninitialized -Wno-restrict
                      -Wno-stringop-overread -Wno-free-nonheap-object)
endif()
if(HF_SANITIZE)
  # vptr wants type information, which the pure modules are built without.
  add_compile_options(-fsanitize=${HF_SANITIZE} -fno-sanitize=vptr -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${HF_SANITIZE})
endif()
if(HF_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
endif()
