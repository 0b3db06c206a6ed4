// SPDX-License-Identifier: Apache-2.0
#pragma once

// All that is asked of a case. Without this a function that answers otherwise than the others, or
// throws what it should not, could go unnoticed.

#include <mla_dtype/mla_dtype.h>

#include <cmath>
#include <exception>
#include <string>

#include "case.h"
#include "check.h"
#include "engine.h"
#include "plan_checker.h"
#include "restatement/plan.h"
#include "restatement/rules.h"

namespace mla_dtype::fuzz {
/// All that is asked of a case.
class CaseChecker : public PlanChecker {
 public:
  using PlanChecker::PlanChecker;

  void run() {
    const auto speedup = prediction(world_);
    const bool is_speedup = !speedup || (std::isfinite(*speedup) && *speedup > 0);
    if (!made_.is_valid || !is_known(world_, setting_) || !is_speedup) return check_refusals();
    decision_ = decide(world_, setting_);
    if (made_.throws != 0) check_exceptions();
    check_decision();
    check_explanation();
    if (world_.injected) {
      CHECK(is_refused([&] { return select_prefill_backend(config(), model(), env_); }));
    } else {
      check_selection();
      check_wrapped_answer();
    }
    check_plan();
  }

 private:
  // Whatever is refused, nothing was asked and nothing said.
  void check_refusals() {
    CHECK(is_refused([&] { return evaluate_prefill_query(config(), model(), env_); }));
    CHECK(is_refused([&] { determine_prefill_query_data_type(config(), model(), env_); }));
    CHECK(is_refused([&] { return explain_prefill_query_data_type(config(), model(), env_); }));
    CHECK(is_refused([&] { return plan_attention_data_types(config(), model(), env_, decode_); }));
    if (!made_.is_valid) {
      CHECK(is_refused([&] { log_prefill_query({}, config(), model(), env_); }));
      CHECK(take_asked().empty());
    }
    CHECK(output_.take().empty());
  }

  // What a predicate throws reaches the caller, and nothing counts as said.
  void check_exceptions() {
    asked_.throws = made_.throws;
    const auto throws = [&](const std::string& questions, auto call) {
      const bool is_asked = only_injected(questions).find(made_.throws) != std::string::npos;
      bool thrown = false;
      try {
        call();
      } catch (const Asked&) {
        thrown = true;
      } catch (const std::exception&) {  // what would be thrown anyway, later
      }
      const std::string asked = take_asked();
      CHECK(thrown == is_asked);
      CHECK(!thrown || asked.back() == made_.throws);
    };
    const std::string questions = decision_.quantized ? "ksp" : "ks";
    throws(questions, [&] { return evaluate_prefill_query(config(), model(), env_); });
    throws("ksp", [&] { return explain_prefill_query_data_type(config(), model(), env_); });
    throws(questions, [&] {
      determine_prefill_query_data_type(config(), model(), env_);
      output_.take();
      output_.log->reset();
    });
    if (is_plan_consistent() && !fuzz::plan(world_, setting_).is_refused()) {
      throws(plan_questions(),
             [&] { return plan_attention_data_types(config(), model(), env_, decode_); });
    }
    CHECK(output_.take().empty());
    asked_.throws = 0;
  }
};

}  // namespace mla_dtype::fuzz
