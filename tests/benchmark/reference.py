#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The decision as an engine in Python takes it, timed: prints the nanoseconds of each row as JSON.

The shape is vLLM's: the KV-cache dtype is tested as a string, the flag is an attribute of a
configuration, the backend is asked by a method, and a message is said once through a cache of the
call that says it. Leaner than vLLM's: nothing is imported on the way, and no group of ranks is
looked up. The handler locks and discards, as the benchmark's sinks do.
"""

import functools
import json
import logging
import sys
import time
import timeit
from dataclasses import dataclass, field

ENABLED = "FP8 prefill attention enabled: query data type is FP8"
REFUSED = (
    "Unable to perform FP8 prefill attention when use_prefill_query_quantization is enabled. "
    "Please ensure that --kv-cache-dtype is set to fp8 and your prefill backend is compatible "
    "with FP8 attention."
)
AVAILABLE = (
    "FP8 KV cache is enabled but prefill queries are not quantized to FP8. For long-context "
    "workloads (ISL >= 4K), enabling FP8 prefill attention can significantly optimize prefill "
    "latency. To enable, add: --attention-config '{\"use_prefill_query_quantization\": true}'"
)


class DiscardingHandler(logging.Handler):
    def emit(self, record):
        pass


@dataclass
class Rank:
    global_rank: int = 0
    local_rank: int = 0


RANK = Rank()


def is_global_first_rank():
    return RANK.global_rank == 0


def is_local_first_rank():
    return RANK.local_rank == 0


def speaks(scope):
    if scope == "global":
        return is_global_first_rank()
    if scope == "local":
        return is_local_first_rank()
    return True


@functools.lru_cache(maxsize=None)
def write_info_once(logger, message, *args):
    logger.info(message, *args)


@functools.lru_cache(maxsize=None)
def write_warning_once(logger, message, *args):
    logger.warning(message, *args)


class EngineLogger(logging.Logger):
    def info_once(self, message, *args, scope="process"):
        if speaks(scope):
            write_info_once(self, message, *args)

    def warning_once(self, message, *args, scope="process"):
        if speaks(scope):
            write_warning_once(self, message, *args)


LOGGER = EngineLogger("engine", logging.INFO)
LOGGER.addHandler(DiscardingHandler())


@dataclass
class CacheConfig:
    cache_dtype: str = "auto"


@dataclass
class AttentionConfig:
    use_prefill_query_quantization: bool = False


@dataclass
class EngineConfig:
    cache_config: CacheConfig = field(default_factory=CacheConfig)
    attention_config: AttentionConfig = field(default_factory=AttentionConfig)


@dataclass
class Platform:
    major: int
    minor: int

    def is_capability_family(self, major):
        return self.major == major

    def fp8_data_type(self):
        return "float8_e4m3fn"


@dataclass
class Backend:
    name: str
    platform: Platform

    def supports_prefill_query_quantization(self):
        return self.platform.is_capability_family(10) and self.name in (
            "TRTLLM_RAGGED",
            "FLASHINFER",
            "TOKENSPEED_MLA",
        )


def is_quantized_kv_cache(cache_dtype):
    return cache_dtype not in ("auto", "float16", "bfloat16")


def determine_prefill_query_data_type(config, model_dtype, backend):
    possible = (
        is_quantized_kv_cache(config.cache_config.cache_dtype)
        and backend.supports_prefill_query_quantization()
    )
    if config.attention_config.use_prefill_query_quantization:
        if possible:
            LOGGER.info_once(ENABLED, scope="local")
            return backend.platform.fp8_data_type()
        LOGGER.info_once(REFUSED, scope="local")
    elif possible:
        LOGGER.warning_once(AVAILABLE, scope="local")
    return model_dtype


# The cases of benchmark.cpp: KV-cache dtype, flag, backend, and what the decision returns.
ROWS = {
    "row_1": ("fp8", True, "FLASHINFER", "float8_e4m3fn"),
    "row_2_kv_cache": ("auto", True, "FLASHINFER", "bfloat16"),
    "row_2_backend": ("fp8", True, "FLASH_ATTN", "bfloat16"),
    "row_3": ("fp8", False, "FLASHINFER", "bfloat16"),
    "row_4_kv_cache": ("auto", False, "FLASHINFER", "bfloat16"),
    "row_4_backend": ("fp8", False, "FLASH_ATTN", "bfloat16"),
}


def nanoseconds(cache_dtype, requested, backend, expected, calls):
    names = {
        "determine": determine_prefill_query_data_type,
        "config": EngineConfig(CacheConfig(cache_dtype), AttentionConfig(requested)),
        "backend": Backend(backend, Platform(major=10, minor=3)),
    }
    statement = "determine(config, 'bfloat16', backend)"
    if eval(statement, names) != expected:
        sys.exit(f"reference.py: not {expected} with {cache_dtype}, {requested}, {backend}")
    timer = timeit.Timer(statement, timer=time.process_time, globals=names)
    return timer.timeit(calls) / calls * 1e9


if __name__ == "__main__":
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    print(json.dumps({row: nanoseconds(*case, calls) for row, case in ROWS.items()}))
