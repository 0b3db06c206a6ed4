// SPDX-License-Identifier: Apache-2.0
#include <dlfcn.h>

#include <cstdio>
#include <memory>

int main(int argc, char** argv) {
  std::shared_ptr<void> shared;
  for (int i = 1; i < argc; ++i) {
    void* const module = dlopen(argv[i], RTLD_NOW | RTLD_LOCAL);
    if (module == nullptr) {
      std::fprintf(stderr, "%s\n", dlerror());
      return 1;
    }
    const auto init =
        reinterpret_cast<int (*)(const char*, std::shared_ptr<void>*)>(dlsym(module, "init_model"));
    const char name[] = {static_cast<char>('0' + i), '\0'};
    if (init == nullptr || init(name, &shared) == 0) return 1;
  }
}
