// SPDX-License-Identifier: Apache-2.0
#pragma once

// Everything but once_sink.h, which includes spdlog, and fmt.h, which includes fmt.

#include <mla_dtype/attention_plan.h>
#include <mla_dtype/config.h>
#include <mla_dtype/cost_model.h>
#include <mla_dtype/data_type.h>
#include <mla_dtype/decode_backend.h>
#include <mla_dtype/engine_profile.h>
#include <mla_dtype/kv_cache.h>
#include <mla_dtype/nearest_name.h>
#include <mla_dtype/once_log.h>
#include <mla_dtype/platform.h>
#include <mla_dtype/prefill_backend.h>
#include <mla_dtype/prefill_query.h>
#include <mla_dtype/version.h>
