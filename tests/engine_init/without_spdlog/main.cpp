// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

extern "C" void engine_init(int global_rank, int local_rank, bool is_default);

int main(int argc, char** argv) { engine_init(std::atoi(argv[1]), std::atoi(argv[2]), argc > 3); }
