// SPDX-License-Identifier: Apache-2.0
#pragma once

// Everything but once_sink.h, which includes spdlog, and fmt.h, which includes fmt.

#include <mla_dtype/attention_plan.h>  // includes all but those below
#include <mla_dtype/cost_model.h>
#include <mla_dtype/nearest_name.h>
#include <mla_dtype/version.h>
