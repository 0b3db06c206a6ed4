// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/fmt.h>
#include <mla_dtype/mla_dtype.h>
#include <mla_dtype/once_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

int main() {
  const std::vector<spdlog::sink_ptr> console = {std::make_shared<spdlog::sinks::stdout_sink_mt>()};
  spdlog::logger logger("engine", std::make_shared<mla_dtype::OnceSink>(console));
  logger.set_pattern("[%l] %v");
  for (int layer = 0; layer < 2; ++layer) logger.info("{}", mla_dtype::DataType::float8_e4m3fn);
}
