// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/prefill_backend.h>

#include <algorithm>
#include <vector>

namespace mla_dtype::detail {

/// Like std::find, which compilers keep out of line.
template <class Items, class Item>
bool holds(const Items& items, const Item& item) {
  for (const auto& each : items) {
    if (each == item) return true;
  }
  return false;
}

/// Whether the device is in one of the ranges.
inline bool contains(const std::vector<DeviceRange>& ranges, const Platform& device) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const DeviceRange& range) { return range.contains(device); });
}

/// Whether a row takes it. An empty list stands for all.
template <class Items, class Item>
bool accepts(const Items& items, const Item& item) {
  return items.empty() || holds(items, item);
}
inline bool accepts(const std::vector<DeviceRange>& ranges, const Platform& device) {
  return ranges.empty() || contains(ranges, device);
}

/// A set of BlockerKinds, as bits.
class Blockers {
 public:
  constexpr Blockers() = default;
  constexpr Blockers(BlockerKind kind)  // NOLINT: implicit, a set of one
      : bits_(1U << static_cast<unsigned>(kind)) {}

  constexpr bool empty() const { return bits_ == 0; }
  constexpr bool has(Blockers any) const { return (bits_ & any.bits_) != 0; }
  constexpr void add(Blockers others) { bits_ |= others.bits_; }
  constexpr Blockers operator|(Blockers other) const { return Blockers(bits_ | other.bits_); }
  constexpr Blockers operator&(Blockers other) const { return Blockers(bits_ & other.bits_); }
  constexpr Blockers operator-(Blockers other) const { return Blockers(bits_ & ~other.bits_); }

  /// In the order of the enumeration.
  std::vector<BlockerKind> kinds() const {
    std::vector<BlockerKind> result;
    for (unsigned kind = 0; bits_ >> kind != 0; ++kind) {
      if ((bits_ >> kind & 1U) != 0) result.push_back(static_cast<BlockerKind>(kind));
    }
    return result;
  }

 private:
  explicit constexpr Blockers(unsigned bits) : bits_(bits) {}
  unsigned bits_ = 0;
};

/// What keeps the backend from running at all.
inline Blockers not_usable(const PrefillBackend& backend) {
  constexpr Blockers always = Blockers(BlockerKind::backend_device) | BlockerKind::model_dtype |
                              BlockerKind::dimensions | BlockerKind::head_count |
                              BlockerKind::backend_unavailable;
  return backend.sparse ? always | BlockerKind::sparse_attention : always;
}

/// What keeps a backend from FP8 queries on a device, whatever the model.
inline constexpr Blockers of_device = Blockers(BlockerKind::backend_device) |
                                      BlockerKind::backend_without_fp8 | BlockerKind::fp8_device;

}  // namespace mla_dtype::detail
