#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures from which input length on FP8 prefill attention pays on this GPU.

It times causal prefill attention of Multi-head Latent Attention (MLA) in BF16, and in FP8 (E4M3)
with the casts of queries, keys and values, by static scales and by dynamic ones; over heads, input
sequence lengths (ISL) and context tokens (chunked prefill, prefix-cache hits). The fastest kernel
of each data type counts: those of this file, in Triton (named by the queries and keys of a block,
warps, pipeline stages), and for BF16 those of PyTorch's scaled_dot_product_attention (SDPA). An
engine with other kernels may break even elsewhere.

Prints what it measured, and writes a cost model for `mla-dtype --cost-model`; after Ctrl-C, of what
was measured until then. Needs a GPU with FP8 matrix units, which nothing else uses; PyTorch; Triton
3.4 or newer. It has run on H100 and H200 (PyTorch 2.11, Triton 3.6; 80 seconds); for other devices
its kernels were only compiled.

    measure_prefill.py --output model.json
    mla-dtype --curve --cost-model model.json
"""

from __future__ import annotations

import argparse
import collections
import datetime
import functools
import itertools
import json
import math
import os
import statistics
import sys
import warnings

try:
    import torch
    import triton
    import triton.language as tl
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from triton.tools.tensor_descriptor import TensorDescriptor
    MISSING = None
except (ImportError, OSError) as error:  # the file can be imported without them all the same
    triton = None
    MISSING = str(error).splitlines()[0]

Dimensions = collections.namedtuple("Dimensions", "qk_nope_head_dim qk_rope_head_dim v_head_dim")
Case = collections.namedtuple("Case", "heads batch context isl")
# Times are in ms, of the whole batch: BF16, FP8 with static scales, FP8 with dynamic scales.
Row = collections.namedtuple("Row", Case._fields + (
    "bf16", "static", "dynamic", "bf16_kernel", "fp8_kernel"))

SIZES = (16, 32, 64, 128, 256)  # of a block's dimensions
NEEDS = ("a curve needs two ISLs without context, three numbers need two a factor of 4 apart, with "
         "casts that show in the shorter one")


class Failure(Exception):
    """What the user is told in one sentence."""


def sentence(error):
    return (str(error) or repr(error)).splitlines()[0].split(". ")[0]


# What the times come to. A cost model is a dictionary, as the JSON file has it.


def cast_tokens(row, dims):
    """Of a token of the context the key and value are cast, which is a share of a new token."""
    share = sum(dims) / (sum(dims) + dims.qk_nope_head_dim + dims.qk_rope_head_dim)
    return row.isl + share * row.context


def equivalent_isl(row, dims):
    """Without context, a prefill of this ISL has as much attention for each token that is cast."""
    return row.isl * (row.isl + 2 * row.context) / cast_tokens(row, dims)


def can_fit(cases, dims):
    """From where to where the ISLs go decides whether attention and casts can be told apart."""
    isls = [equivalent_isl(case, dims) for case in cases]
    return max(isls) >= 4 * min(isls)


def fit_throughput(rows, scales, dims):
    """The three numbers: least squares of the relative errors of the times. None where casts do not
    show: they would come to nothing, and FP8 would pay where nobody has measured that."""
    if not can_fit(rows, dims):
        return None
    bf16, fp8, cast = [], [], []  # of each row: GFLOP/ms, GFLOP/ms, and tokens cast in a ns
    for row in rows:
        casts = cast_tokens(row, dims) * row.heads * row.batch * 1e-6
        gflop = sum(dims) * equivalent_isl(row, dims) * casts * 1e-3
        bf16.append(gflop / row.bf16)
        fp8.append(gflop / getattr(row, scales))
        cast.append(casts / getattr(row, scales))

    def dot(a, b):
        return sum(x * y for x, y in zip(a, b))
    # The normal equations of 1 = fp8 * inverse + cast * quantize_ns, over the rows.
    determinant = dot(fp8, fp8) * dot(cast, cast) - dot(fp8, cast) ** 2
    quantize_ns = (dot(fp8, fp8) * sum(cast) - dot(fp8, cast) * sum(fp8)) / determinant
    inverse = (dot(cast, cast) * sum(fp8) - dot(fp8, cast) * sum(cast)) / determinant
    if quantize_ns * max(cast) < 0.05 or inverse <= 0:  # of a row's time, which varies by as much
        return None
    return {"bf16_tflops": dot(bf16, bf16) / sum(bf16), "fp8_tflops": 1 / inverse,
            "quantize_ns": quantize_ns}


def curve_rows(rows):
    """Those without context, of the most heads that have two or more."""
    counts = collections.Counter(row.heads for row in rows if row.context == 0)
    heads = max((heads for heads, count in counts.items() if count > 1), default=None)
    return sorted((row for row in rows if row.heads == heads and row.context == 0),
                  key=lambda row: row.isl)


def make_curve(rows, scales):
    points = [{"isl": row.isl, "bf16_ms": row.bf16 / row.batch,
               "fp8_ms": getattr(row, scales) / row.batch} for row in curve_rows(rows)]
    return {"curve": points} if points else None


def time_ratio(model, isl, dims):
    """FP8's time over BF16's, as the library predicts it."""
    if "curve" not in model:
        share = model["quantize_ns"] * model["bf16_tflops"] * 1e3 / sum(dims)
        return model["bf16_tflops"] / model["fp8_tflops"] + share / isl
    curve = model["curve"]
    if isl <= curve[0]["isl"] - 1:
        return max(curve[0]["fp8_ms"] / curve[0]["bf16_ms"], 1)
    right = next((i for i in range(1, len(curve)) if isl <= curve[i]["isl"]), len(curve) - 1)
    a, b = curve[right - 1], curve[right]
    share = min(max((isl - a["isl"]) / (b["isl"] - a["isl"]), 0), 1)
    fp8, bf16 = (a[name] / a["isl"] * (1 - share) + b[name] / b["isl"] * share
                 for name in ("fp8_ms", "bf16_ms"))
    return fp8 / bf16


def crossing(model, dims):
    """The ISL beyond which FP8 is always faster, or infinity."""
    if "curve" not in model:
        gain = 1 - model["bf16_tflops"] / model["fp8_tflops"]
        return (time_ratio(model, 1, dims) - 1 + gain) / gain if gain > 0 else math.inf
    curve = model["curve"]
    costs = [(point["fp8_ms"] - point["bf16_ms"]) / point["isl"] for point in curve]
    slower = max((i for i, cost in enumerate(costs) if cost >= 0), default=None)
    if slower is None:
        return curve[0]["isl"] - 1
    if slower + 1 == len(curve):
        return math.inf
    share = costs[slower] / (costs[slower] - costs[slower + 1])
    return curve[slower]["isl"] + share * (curve[slower + 1]["isl"] - curve[slower]["isl"])


def break_even(model, dims):
    """The shortest ISL from which on FP8 is faster, or "none"."""
    isl = crossing(model, dims)
    return "none" if isl == math.inf else math.floor(isl) + 1


def judge(model, rows, scales, dims):
    """How far predicted speedups are off, and the time that is lost by choosing with them: the
    geometric mean and the worst of each, as what a factor is above 1."""
    errors, losses = [], []
    for row in rows:
        isl, fp8 = equivalent_isl(row, dims), getattr(row, scales)
        errors.append(abs(math.log(time_ratio(model, isl, dims) * row.bf16 / fp8)))
        chosen = fp8 if isl > crossing(model, dims) else row.bf16
        losses.append(math.log(chosen / min(row.bf16, fp8)))
    return [math.expm1(of(values)) for values in (errors, losses) for of in (statistics.mean, max)]


def make_models(rows, scales, dims):
    """The cost models by their form; first the one to write: the curve, unless the three numbers
    lose clearly less time, so that runs agree."""
    models = {"curve": make_curve(rows, scales), "throughput": fit_throughput(rows, scales, dims)}
    return dict(sorted(((form, model) for form, model in models.items() if model),
                       key=lambda item: judge(item[1], rows, scales, dims)[2]
                       + 0.005 * (item[0] == "throughput")))


def to_json(model, dims, source):
    model = json.loads(json.dumps(model), parse_float=lambda text: float(f"{float(text):.5g}"))
    return json.dumps({**model, "dimensions": dims._asdict(), "source": source}, indent=2)


HEADER = ("                           ms of a batch: FP8, scales speedup\n"
          "heads batch context    ISL     BF16   static  dynamic  static dynamic  BF16, FP8 kernel")


def to_text(row):
    return (f"{row.heads:5} {row.batch:5} {row.context:7} {row.isl:6} {row.bf16:8.4g} "
            f"{row.static:8.4g} {row.dynamic:8.4g} {row.bf16 / row.static:6.2f}x "
            f"{row.bf16 / row.dynamic:6.2f}x  {row.bf16_kernel}, {row.fp8_kernel}")


def summary(rows, models, scales, dims):
    for heads in sorted({row.heads for row in rows}):
        curves = [make_curve([row for row in rows if row.heads == heads], name)
                  for name in ("static", "dynamic")]
        if all(curves):
            static, dynamic = (break_even(curve, dims) for curve in curves)
            yield f"break-even ISL, {heads} heads: {static} (static), {dynamic} (dynamic scales)"
    if "throughput" in models:
        yield ("three numbers ({} scales): BF16 {bf16_tflops:.4g} TFLOP/s, FP8 {fp8_tflops:.4g} "
               "TFLOP/s, quantize {quantize_ns:.3g} ns".format(scales, **models["throughput"]))
    for form, model in models.items():
        error, worst_error, loss, worst_loss = judge(model, rows, scales, dims)
        yield (f"{form}: break-even ISL {break_even(model, dims)}; predicted speedups off by "
               f"{error:.1%} (geometric mean), {worst_error:.1%} (worst); time lost by following "
               f"it {loss:.2%}, {worst_loss:.1%}")


# The kernels. Queries are [token, head, dimension], keys and values as well; FP8 values are
# [sequence, head, dimension, token], since FP8 matrix units want the tokens side by side.


def jit(function):
    return triton.jit(function, do_not_specialize=["isl", "context", "heads"]) if triton else None


@jit
def attention_kernel(q_a, q_b, k_a, k_b, v, out, amax, scale, isl, context, heads,
                     DA: tl.constexpr, DB: tl.constexpr, DV: tl.constexpr, BM: tl.constexpr,
                     BN: tl.constexpr, FP8_MAX: tl.constexpr):
    # The blocks of a head run together, since they share its keys; those with the most first.
    tiles = tl.cdiv(isl, BM)
    first = (tiles - 1 - tl.program_id(0) % tiles) * BM
    head = tl.program_id(0) // tiles % heads
    sequence = tl.program_id(0) // tiles // heads
    column = head * (DA + DB)
    a = q_a.load([sequence * isl + first, column])
    b = a
    if DB > 0:
        b = q_b.load([sequence * isl + first, column + DA])
    v_scale = 1.0
    if FP8_MAX > 0:
        scale = scale * tl.load(amax) * tl.load(amax + 1) / (FP8_MAX * FP8_MAX)
        v_scale = tl.load(amax + 2) / FP8_MAX
    row = first + tl.arange(0, BM)
    acc = tl.zeros([BM, DV], tl.float32)
    total = tl.zeros([BM], tl.float32)
    peak = tl.full([BM], float("-inf"), tl.float32)
    # First the keys that all these queries see. Of the rest, those after a sequence's last are
    # read, too, whatever comes there, but no query of the sequence sees them.
    middle = (context + first + 1) // BN * BN
    stop = context + tl.minimum(first + BM, isl)
    key_row = sequence * (context + isl)
    for diagonal in tl.static_range(2):
        for key in tl.range(middle if diagonal else 0, stop if diagonal else middle, BN):
            scores = tl.dot(a, k_a.load([key_row + key, column]).T)
            if DB > 0:
                scores = tl.dot(b, k_b.load([key_row + key, column + DA]).T, scores)
            if diagonal:
                seen = context + row[:, None] >= key + tl.arange(0, BN)[None, :]
                scores = tl.where(seen, scores, float("-inf"))
            new_peak = tl.maximum(peak, tl.max(scores, 1) * scale)
            # Up to 128 in FP8, which has more numbers there than below 1.
            p = tl.exp2(scores * scale - (new_peak - 7 if FP8_MAX > 0 else new_peak)[:, None])
            fade = tl.exp2(peak - new_peak)
            total = total * fade + tl.sum(p, 1)
            if FP8_MAX > 0:
                value = v.load([(sequence * heads + head) * DV, key]).T
            else:
                value = v.load([key_row + key, head * DV])
            acc = tl.dot(p.to(value.dtype), value, acc * fade[:, None])
            peak = new_peak
    acc = acc * (v_scale / total)[:, None]
    offset = ((sequence * isl + row).to(tl.int64) * heads + head) * DV
    tl.store(out + offset[:, None] + tl.arange(0, DV)[None, :], acc.to(out.dtype.element_ty),
             row[:, None] < isl)


@jit
def amax_kernel(x, amax, count, BLOCK: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    tl.atomic_max(amax, tl.max(tl.abs(tl.load(x + i, i < count, 0).to(tl.float32)), 0))


@jit
def to_fp8(x, y, amax, FP8_MAX: tl.constexpr):
    x = x.to(tl.float32) * (FP8_MAX / tl.maximum(tl.load(amax), 1e-9))
    return tl.minimum(tl.maximum(x, -FP8_MAX), FP8_MAX).to(y.dtype.element_ty)


@jit
def cast_kernel(x, y, amax, count, FP8_MAX: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + i, to_fp8(tl.load(x + i, i < count), y, amax, FP8_MAX), i < count)


@jit
def cast_values_kernel(x, y, amax, heads, keys, pitch, FP8_MAX: tl.constexpr, DV: tl.constexpr,
                       BLOCK: tl.constexpr):
    tiles = tl.cdiv(keys, BLOCK)
    head = (tl.program_id(0) // tiles).to(tl.int64)  # of all sequences
    token = tl.program_id(0) % tiles * BLOCK + tl.arange(0, BLOCK)
    column = tl.arange(0, DV)
    row = (head // heads * keys + token) * heads + head % heads
    value = tl.load(x + row[:, None] * DV + column[None, :], token[:, None] < keys)
    tl.store(y + (head * DV + column)[None, :] * pitch + token[:, None],
             to_fp8(value, y, amax, FP8_MAX), token[:, None] < keys)


# What runs on the GPU.

FLAT_BLOCK = 8192  # elements
# Queries and keys of a block, warps, pipeline stages. Whatever a GPU has no room for is left out.
CONFIGS = {"bf16": [(128, 64, 8, 3), (128, 128, 8, 2), (128, 64, 4, 2), (64, 64, 4, 2),
                    (64, 32, 4, 2)],
           "fp8": [(64, 64, 4, 3), (64, 128, 4, 2), (128, 128, 8, 3), (128, 64, 4, 2),
                   (64, 64, 4, 2)]}


class Platform:
    """The GPU, and its FP8 type."""

    def __init__(self):
        if MISSING:
            raise Failure(f"needs PyTorch, and Triton 3.4 or newer: {MISSING}")
        if not torch.cuda.is_available():
            raise Failure("needs a GPU, and PyTorch finds none")
        properties = torch.cuda.get_device_properties(0)
        self.name, self.fp8 = properties.name, torch.float8_e4m3fn
        if torch.version.hip:
            kind = properties.gcnArchName.split(":")[0]
            has_fp8 = kind.startswith(("gfx94", "gfx95", "gfx12"))
            if kind.startswith("gfx94"):
                self.fp8 = torch.float8_e4m3fnuz
        else:
            kind = f"compute capability {properties.major}.{properties.minor}"
            has_fp8 = (properties.major, properties.minor) >= (8, 9)
        if not has_fp8:
            raise Failure(f"{self.name} ({kind}) has no FP8 matrix units")
        self.fp8_max = torch.finfo(self.fp8).max


class Inputs:
    """Queries, keys and values of a case in both data types, and what is done with them."""

    def __init__(self, case, dims, platform):
        self.case, self.dims, self.platform = case, dims, platform
        self.dim = dims.qk_nope_head_dim + dims.qk_rope_head_dim
        self.keys = case.context + case.isl
        self.pitch = -(-self.keys // 128) * 128  # of transposed values
        torch.cuda.empty_cache()
        free, needed = torch.cuda.mem_get_info()[0], case.batch * case.heads * (
            3 * self.keys * (self.dim + dims.v_head_dim)
            + case.isl * (3 * self.dim + 8 * dims.v_head_dim))
        if needed > 0.9 * free:
            raise Failure(f"takes {needed / 1e9:.2g} GB, and {free / 1e9:.2g} GB are free")
        options = {"dtype": torch.bfloat16, "device": "cuda"}
        self.bf16 = [torch.randn(case.batch * tokens, case.heads * size, **options)
                     for tokens, size in ((case.isl, self.dim), (self.keys, self.dim),
                                          (self.keys, dims.v_head_dim))]
        self.fp8 = [torch.empty_like(x, dtype=platform.fp8) for x in self.bf16[:2]]
        self.fp8.append(torch.zeros(case.batch * case.heads * dims.v_head_dim, self.pitch,
                                    dtype=torch.uint8, device="cuda").view(platform.fp8))
        self.out = torch.empty(case.batch * case.isl, case.heads * dims.v_head_dim, **options)
        self.amax = torch.zeros(3, device="cuda")
        self.find_amax()  # which makes the static scales

    def find_amax(self):
        self.amax.zero_()
        for i, x in enumerate(self.bf16):
            amax_kernel[(triton.cdiv(x.numel(), FLAT_BLOCK),)](
                x, self.amax[i:], x.numel(), FLAT_BLOCK, num_warps=8)

    def cast(self):
        for i, x in enumerate(self.bf16[:2]):
            cast_kernel[(triton.cdiv(x.numel(), FLAT_BLOCK),)](
                x, self.fp8[i], self.amax[i:], x.numel(), self.platform.fp8_max, FLAT_BLOCK,
                num_warps=8)
        cast_values_kernel[(triton.cdiv(self.keys, 64) * self.case.batch * self.case.heads,)](
            self.bf16[2], self.fp8[2], self.amax[2:], self.case.heads, self.keys, self.pitch,
            self.platform.fp8_max, self.dims.v_head_dim, 64, num_warps=4)

    def attention(self, data_type, config):
        case, v_dim, (rows, keys, warps, stages) = self.case, self.dims.v_head_dim, config
        q, k, v = getattr(self, data_type)
        a = 1 << (self.dim.bit_length() - 1)  # a block's dimensions are powers of two
        b = self.dim - a
        blocks = ((q, rows, a), (q, rows, b or a), (k, keys, a), (k, keys, b or a),
                  (v, v_dim, keys) if data_type == "fp8" else (v, keys, v_dim))
        attention_kernel[(triton.cdiv(case.isl, rows) * case.heads * case.batch,)](
            *(TensorDescriptor.from_tensor(x, list(block)) for x, *block in blocks), self.out,
            self.amax, self.dim ** -0.5 * math.log2(math.e), case.isl, case.context, case.heads,
            a, b, v_dim, rows, keys, self.platform.fp8_max if data_type == "fp8" else 0,
            num_warps=warps, num_stages=stages)
        return self.out

    def heads_first(self):
        return [x.view(self.case.batch, -1, self.case.heads, x.shape[1] // self.case.heads)
                .transpose(1, 2) for x in self.bf16]

    def sdpa(self, backend):
        q, k, v = self.heads_first()
        if self.case.context == 0:
            with sdpa_kernel([backend]):
                return torch.nn.functional.scaled_dot_product_attention(
                    q, k, v, is_causal=True).transpose(1, 2)
        if backend != SDPBackend.CUDNN_ATTENTION:
            raise NotImplementedError("with context")
        # As engines do it: attention to the context and to the new tokens, merged.
        n = self.case.context
        (out, lse), (new, new_lse) = (
            torch.ops.aten._scaled_dot_product_cudnn_attention(
                q, k[:, :, part], v[:, :, part], None, True, 0.0, causal, False)[:2]
            for part, causal in ((slice(n), False), (slice(n, None), True)))
        return torch.lerp(new, out, torch.sigmoid(lse - new_lse).to(out.dtype)).transpose(1, 2)

    def reference(self):
        q, k, v = (x.float() for x in self.heads_first())
        scores = q @ k.transpose(2, 3) * self.dim ** -0.5
        unseen = torch.ones_like(scores[0, 0], dtype=torch.bool).triu(1 + self.case.context)
        return (scores.masked_fill(unseen, -math.inf).softmax(-1) @ v).transpose(1, 2)


def timed(run):
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    run()
    end.record()
    return start, end


def repeated(run):
    """A CUDA graph of so many runs that its launch does not show; their number, and their ms."""
    start, end = timed(run)
    end.synchronize()
    ms = start.elapsed_time(end)
    count = max(1, min(50, round(2 / max(ms, 0.01))))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(count):
            run()
    return graph, count, ms * count


def result_of(run):
    """Or the exception, if it cannot run: too large a block, a shape that is not supported."""
    try:
        result = run()
        torch.cuda.synchronize()
        return result
    except Exception as problem:  # each library has its own
        problem.__cause__ = problem.__context__ = None  # with what they hold of the GPU's memory
        return problem.with_traceback(None)


def measure(runs, seconds):
    """The median ms of each that can run: of rounds in which they take turns, as clocks drift."""
    graphs, events = {}, collections.defaultdict(list)
    for name, run in runs.items():
        problem = result_of(run)
        if isinstance(problem, torch.OutOfMemoryError):  # the others might not be the fastest
            raise problem
        if not isinstance(problem, Exception):
            graphs[name] = repeated(run)
    if not graphs:
        raise Failure(f"no kernel can run: {sentence(problem)}")
    rounds = max(3, min(30, int(seconds * 1e3 / sum(ms for _, _, ms in graphs.values()))))
    for number in range(rounds):
        for name in list(graphs)[::-1 if number % 2 else 1]:
            events[name].append(timed(graphs[name][0].replay))
    torch.cuda.synchronize()
    return {name: statistics.median(start.elapsed_time(end) for start, end in events[name]) / count
            for name, (_, count, _) in graphs.items()}


def list_kernels(data_type, triton_alone):
    """By name: functions of the inputs."""
    kernels = {"Triton {}x{}/{}/{}".format(*config):
               functools.partial(Inputs.attention, data_type=data_type, config=config)
               for config in CONFIGS[data_type]}
    if data_type == "bf16" and not triton_alone:
        for name in ("cuDNN", "Flash", "Efficient"):
            backend = getattr(SDPBackend, name.upper() + "_ATTENTION")
            kernels[f"SDPA {name}"] = functools.partial(Inputs.sdpa, backend=backend)
    return kernels


def check(name, data_type, kernel, inputs):
    inputs.out.fill_(math.nan)
    out, reference = result_of(lambda: kernel(inputs)), inputs.reference()
    if isinstance(out, Exception):
        return
    error = ((out.view_as(reference).float() - reference).norm() / reference.norm()).item()
    if not error < (0.1 if data_type == "fp8" else 0.01):
        raise Failure(f"{name} in {data_type} is wrong on {inputs.platform.name}, by {error:.1%}")


def time_kernels(kernels, *of):
    inputs = Inputs(*of)
    inputs.cast()
    return measure({name: functools.partial(kernel, inputs) for name, kernel in kernels.items()},
                   0.2)


def find_kernels(data_type, context, arguments, platform):
    """The fastest, and what is near it, for a short ISL and a long one; with a Triton kernel, which
    takes every shape."""
    inputs = Inputs(Case(3, 2, min(context, 150), 333), arguments.dims, platform)
    inputs.cast()
    kernels = list_kernels(data_type, arguments.kernels == "triton")
    for name, kernel in kernels.items():
        check(name, data_type, kernel, inputs)
    near = set()
    for isl in (1024, 16384):
        for part in (1, 2, 4, 8, 16):  # the largest of these cases that the GPU has room for
            case = Case(16 // part, max(1, 16384 // isl // part), context, isl)
            times = result_of(functools.partial(time_kernels, kernels, case, inputs.dims, platform))
            if not isinstance(times, Exception):
                break
        else:
            raise Failure(f"{data_type} cannot be timed on {platform.name}: {sentence(times)}")
        ranking = sorted(times, key=times.get)
        near |= {name for name in ranking if times[name] < 1.1 * times[ranking[0]]}
        near |= set([name for name in ranking if name.startswith("Triton")][:1])
    return {name: kernels[name] for name in near}


def measure_row(case, dims, platform, kernels, seconds):
    inputs = Inputs(case, dims, platform)

    def chain(kernel, scales):
        if scales == "dynamic":
            inputs.find_amax()
        if scales != "bf16":
            inputs.cast()
        return kernel(inputs)

    times = measure({(scales, name): functools.partial(chain, kernel, scales)
                     for scales in ("bf16", "static", "dynamic")
                     for name, kernel in kernels["bf16" if scales == "bf16" else "fp8",
                                                 case.context > 0].items()}, seconds)
    fastest = [min(((ms, name) for (of, name), ms in times.items() if of == scales), default=None)
               for scales in ("bf16", "static", "dynamic")]
    if None in fastest:
        raise Failure("no kernel of a data type can run")
    (bf16, bf16_kernel), (static, fp8_kernel), (dynamic, _) = fastest
    return Row(*case, bf16, static, dynamic, bf16_kernel, fp8_kernel)


def show_progress(bar, done, total, what=""):
    """A bar on a terminal, until it is shown with nothing; elsewhere a line now and then."""
    if bar:
        filled = 30 * done // total
        line = f"[{'#' * filled}{'.' * (30 - filled)}] {done}/{total} {what}" if what else ""
        print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)
    elif what and done % 10 == 0:
        print(f"{done}/{total} {what}", file=sys.stderr, flush=True)


def list_cases(arguments):
    """The most heads come first: after Ctrl-C their curve is there sooner."""
    tokens = arguments.tokens
    axes = (sorted(set(axis)) for axis in (arguments.context, arguments.isl))
    for heads, context, isl in itertools.product(sorted(set(arguments.heads))[::-1], *axes):
        if context == 0 or isl <= tokens:  # a chunk is no longer than a batch
            batch = max(1, min(tokens // isl, 8 * tokens // (context + isl)))
            yield Case(heads, batch, context, isl)


def numbers(least):
    def to_numbers(text):
        values = [int(number) for number in text.split(",")]
        if not all(least <= value <= 10 ** 7 for value in values):
            raise ValueError
        return values
    to_numbers.__name__ = f"numbers (with commas, from {least} on)"  # in argparse's message
    return to_numbers


def parse(argv):
    description, epilog = __doc__.split("\n\n", 1)
    parser = argparse.ArgumentParser(prog="measure_prefill.py", description=description,
                                     epilog=epilog,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--output", default="prefill_cost_model.json", help="the cost model (%(default)s)")
    add("--heads", type=numbers(1), default=[16, 128], help="of one GPU (16,128)")
    add("--isl", type=numbers(1), help="new tokens of a sequence (256,512,...,65536)")
    add("--context", type=numbers(0), help="tokens before them (0,4096,32768)")
    add("--tokens", type=int, default=16384, help="new tokens of a batch (%(default)s)")
    add("--quick", action="store_true", help="fewer lengths, no context, shorter measurements")
    add("--scales", choices=("static", "dynamic"), default="static",
        help="of the cost model: %(default)s, or those that the GPU finds for each batch")
    add("--form", choices=("curve", "throughput"),
        help="of the cost model: times (if three numbers don't lose clearly less), or those")
    add("--kernels", choices=("all", "triton"), default="all",
        help="triton: those of this file alone, for BF16, too")
    add("--dims", type=numbers(1), default=[128, 64, 128],
        help="head dimensions: qk_nope, qk_rope, v (128,64,128)")
    add("--progress", action="store_true", help="a progress bar, even if stderr is no terminal")
    arguments = parser.parse_args(argv)
    quick = arguments.quick
    arguments.isl = arguments.isl or [1 << i for i in (range(9, 15) if quick else range(8, 17))]
    arguments.context = arguments.context or ([0] if quick else [0, 4096, 32768])
    blocks = {a + b for a in SIZES for b in (0, *SIZES) if a > b}  # two add up to a query's
    if len(arguments.dims) != 3 or sum(arguments.dims[:2]) not in blocks or (
            arguments.dims[2] not in SIZES):
        parser.error("--dims: takes three; v is 16, 32, 64, 128 or 256, and qk_nope + qk_rope is "
                     "one of these or the sum of two different ones")
    arguments.dims = Dimensions(*arguments.dims)
    if arguments.tokens < 1:
        parser.error("--tokens: has to be positive")
    cases = list(list_cases(arguments))
    if not cases:
        parser.error(f"--isl: with context it is at most --tokens, {arguments.tokens}, as a chunk "
                     "is no longer than a batch")
    possible = {"curve": curve_rows(cases), "throughput": can_fit(cases, arguments.dims)}
    if not any(possible[form] for form in ([arguments.form] if arguments.form else possible)):
        parser.error("--isl: " + NEEDS)
    exists = os.path.lexists(arguments.output)
    try:
        with open(arguments.output, "a", encoding="utf-8"):
            pass
        if not exists:
            os.remove(arguments.output)
    except OSError as error:
        parser.error(f"--output: {arguments.output} cannot be written: {error.strerror}")
    return arguments


def measure_all(arguments, platform, rows):
    """Prints rows as they come, and appends them to these."""
    cases = list(list_cases(arguments))
    bar = arguments.progress or sys.stderr.isatty()
    show_progress(bar, 0, len(cases), "compiling the kernels")
    kernels = {(data_type, context): find_kernels(data_type, 16384 * context, arguments, platform)
               for data_type in CONFIGS for context in {case.context > 0 for case in cases}}
    show_progress(bar, 0, len(cases))
    print(HEADER, flush=True)
    for done, case in enumerate(cases):
        show_progress(bar, done, len(cases), "{0} heads, context {2}, ISL {3}".format(*case))
        row = result_of(functools.partial(measure_row, case, arguments.dims, platform, kernels,
                                          0.3 if arguments.quick else 1))
        show_progress(bar, done, len(cases))
        if isinstance(row, Exception):
            print("{:5} {:5} {:7} {:6} left out: {}".format(*case, sentence(row)), flush=True)
        else:
            rows.append(row)
            print(to_text(row), flush=True)


def finish(arguments, device, rows):
    """Sums up the rows, and writes a cost model."""
    if not rows:
        raise Failure("nothing was measured, so nothing is written")
    scales, dims, cases = arguments.scales, arguments.dims, list(list_cases(arguments))
    models = make_models(rows, scales, dims)
    print("\n" + "\n".join(summary(rows, models, scales, dims)))
    form = arguments.form or next(iter(models), None)
    if form not in models:
        raise Failure(f"nothing is written: {NEEDS}")
    used = curve_rows(rows) if form == "curve" else rows
    heads, bf16, fp8 = (", ".join(map(str, sorted({getattr(row, name) for row in used})))
                        for name in ("heads", "bf16_kernel", "fp8_kernel"))
    partial = f"partial ({len(rows)} of {len(cases)} cases); " if len(rows) < len(cases) else ""
    source = (f"{device}; {heads} heads; {partial}BF16: {bf16}; FP8: {fp8}, {scales} scales; "
              f"PyTorch {torch.__version__}, Triton {triton.__version__}; {datetime.date.today()}")
    with open(arguments.output, "w", encoding="utf-8") as file:
        file.write(to_json(models[form], dims, source) + "\n")
    what, lose = {"curve": ("the curve", "do not lose"),
                  "throughput": ("the three numbers", "lose")}[form]
    why = ("as --form says" if arguments.form else "the one form that these times give"
           if len(models) == 1 else f"as three numbers {lose} clearly less time (0.5 points)")
    print(f"wrote {arguments.output} for mla-dtype --cost-model: {partial}{what} of {heads} heads, "
          f"break-even ISL {break_even(models[form], dims)}; {why}")
    several = sorted({row.heads for row in rows})
    if len(several) > 1:
        print(f"other heads break even elsewhere; --heads {several[0]} makes the model of such a "
              "rank")


def main(argv=None):
    arguments, rows, code = parse(argv), [], 0
    warnings.simplefilter("ignore")  # PyTorch's, about what a kernel does not take
    try:
        platform = Platform()
        torch.manual_seed(0)
        try:
            measure_all(arguments, platform, rows)
        except KeyboardInterrupt:
            code = 130
            print("\ninterrupted", file=sys.stderr)
        finish(arguments, platform.name, rows)
    except (Failure, OSError, RuntimeError) as error:
        print(f"measure_prefill.py: error: {sentence(error)}", file=sys.stderr)
        code = code or 1
    return code


if __name__ == "__main__":
    sys.exit(main())
