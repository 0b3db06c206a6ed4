// SPDX-License-Identifier: Apache-2.0
#pragma once

// Everything but once_sink.h (spdlog) and fmt.h (fmt). Examples leave out `mla_dtype::`.

#include <mla_dtype/attention_plan.h>  // includes all but those below
#include <mla_dtype/cost_model.h>
#include <mla_dtype/nearest_name.h>
#include <mla_dtype/version.h>
