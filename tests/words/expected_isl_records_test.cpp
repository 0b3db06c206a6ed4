// SPDX-License-Identifier: Apache-2.0

// Without this a record could carry the wrong figure, or advise for the noise of a prediction,
// unnoticed.

#include <gmock/gmock.h>
#include <mla_dtype/cost_model.h>
#include <mla_dtype/prefill_query.h>

#include <cstdint>

#include "support/data_types.h"
#include "support/engine_config.h"
#include "support/h100.h"
#include "support/record_texts.h"
#include "support/recording_log.h"

namespace mla_dtype {
namespace {

using testing::bf16;
using testing::e4m3;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using testing::H100;
using testing::info;
using ::testing::IsEmpty;
using testing::make_config;
using testing::predicted;
using testing::row_1;
using testing::row_2;
using testing::row_3;
using ::testing::SizeIs;
using ::testing::StartsWith;
using testing::warning;
using testing::with_isl;

using Mode = PrefillQueryMode;

TEST(ExpectedIsl, TheAdviceCarriesTheFigure) {
  H100 h100;
  h100.determine(with_isl(make_config("fp8", false), 32768));
  EXPECT_THAT(h100.records(), ElementsAre(warning(row_3 + " (" + predicted(32768, "1.34") + ")")));
}

TEST(ExpectedIsl, TheOppositeMistakeIsToldToo) {
  H100 h100;
  h100.env.spellings.request_fp8 = "--fp8-prefill";
  EXPECT_EQ(h100.determine(with_isl(make_config("fp8", true), 1024)), e4m3);
  EXPECT_THAT(h100.records(),
              ElementsAre(info(row_1),
                          warning("FP8 prefill queries are enabled, but do not pay. " +
                                  predicted(1024, "0.75") + " To disable, remove: --fp8-prefill")));

  // vLLM's is one setting of an option that may hold others.
  for (const char* const spelling :
       {"", "--attention-config '{\"use_prefill_query_quantization\": true}'"}) {
    H100 other;
    other.env.spellings.request_fp8 = spelling;
    other.determine(with_isl(make_config("fp8", true), 1024));
    EXPECT_THAT(other.records().back().text,
                EndsWith(" To disable, turn off: use_prefill_query_quantization"));
  }
}

TEST(ExpectedIsl, NothingIsAdvisedForLessThanTwoPercent) {
  H100 h100;
  const std::int64_t even = *break_even_isl(h100_prefill_cost_model());
  h100.determine(with_isl(make_config("fp8", false), even));
  EXPECT_THAT(h100.records(), IsEmpty());
  h100.determine(with_isl(make_config("fp8", true), even));
  EXPECT_THAT(h100.records(), ElementsAre(info(row_1)));
}

TEST(ExpectedIsl, ARefusalAdvisesOnlyWhatPays) {
  H100 h100;
  h100.determine(with_isl(make_config("auto", true), 32768));
  ASSERT_THAT(h100.records(), SizeIs(1));
  EXPECT_THAT(h100.records()[0].text,
              EndsWith("To enable FP8 prefill attention, set: --kv-cache-dtype fp8"));
  h100.determine(with_isl(make_config("auto", true), 1024));
  ASSERT_THAT(h100.records(), SizeIs(2));
  EXPECT_THAT(h100.records()[1].text, StartsWith(row_2));
  EXPECT_THAT(h100.records()[1].text,
              EndsWith("the KV-cache dtype is \"auto\". " + predicted(1024, "0.75")));
  EXPECT_THAT(to_string(explain_prefill_query_data_type(with_isl(make_config("auto", true), 1024),
                                                        bf16, h100.env)),
              EndsWith(predicted(1024, "0.75") + " The remedies do not pay."));

  // In mode `automatic` the flag that the text speaks of may be off.
  H100 automatic;
  automatic.determine(with_isl(make_config("auto", false), 32768, Mode::automatic));
  ASSERT_THAT(automatic.records(), SizeIs(1));
  EXPECT_THAT(automatic.records()[0].text,
              EndsWith(" prefill_query_mode is automatic. To enable FP8 prefill attention, set: "
                       "--kv-cache-dtype fp8 (" +
                       predicted(32768, "1.34") + ")"));
}

TEST(ExpectedIsl, FiguresNearOneHaveThreeDigits) {
  H100 h100;
  h100.env.predict_prefill_speedup = [](const EngineConfig&, std::int64_t) { return 0.9987; };
  h100.determine(with_isl(make_config("fp8", false), 7, Mode::automatic));
  ASSERT_THAT(h100.records(), SizeIs(1));
  EXPECT_THAT(h100.records()[0].text, EndsWith(predicted(7, "0.999")));
}

}  // namespace
}  // namespace mla_dtype
