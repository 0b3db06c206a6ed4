// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mla_dtype/data_type.h>
#include <mla_dtype/features.h>

#include <utility>
#include <vector>

namespace mla_dtype {

class DeviceRange;

/// A device, known or not: CUDA of a compute capability, ROCm of a gfx architecture, or none (by
/// default). A value of a few bytes, made by cuda(), rocm() or parse_platform().
struct Platform {
  constexpr Platform() = default;
  friend constexpr bool operator==(Platform a, Platform b) noexcept {
    return a.runtime_ == b.runtime_ && a.version() == b.version();
  }
  friend constexpr bool operator!=(Platform a, Platform b) noexcept { return !(a == b); }

  friend MLA_DTYPE_EXPORT Platform cuda(int major, int minor);
  friend MLA_DTYPE_EXPORT Platform rocm(std::string_view gfx_arch);
  friend MLA_DTYPE_EXPORT std::string to_string(const DeviceRange& range);
  friend class DeviceRange;
  friend MLA_DTYPE_EXPORT std::optional<DataType> fp8_data_type(const Platform& platform);
  friend MLA_DTYPE_EXPORT std::string to_string(const Platform& platform);

 private:
  enum class Runtime : std::uint8_t { none, cuda, rocm };

  constexpr Platform(Runtime runtime, const std::pair<int, int>& version)
      : runtime_(runtime), major_(version.first), minor_(version.second) {}
  constexpr std::pair<int, int> version() const noexcept { return {major_, minor_}; }

  Runtime runtime_ = Runtime::none;
  int major_ = 0;  // sm_103: 10, gfx942: 9
  int minor_ = 0;  // sm_103: 3, gfx942: 0x42
};

/// The CUDA device of compute capability `major`.`minor`, as cudaGetDeviceProperties() reports it.
/// std::invalid_argument for a major below 1, or a minor outside 0 to 9.
[[nodiscard]] MLA_DTYPE_EXPORT Platform cuda(int major, int minor);

/// The ROCm device of a gfx architecture, as hipGetDeviceProperties() reports it in `gcnArchName`:
/// `gfx942`, `gfx942:sramecc+:xnack-` (such features are ignored). Else: std::invalid_argument.
[[nodiscard]] MLA_DTYPE_EXPORT Platform rocm(std::string_view gfx_arch);

/// The device of any spelling that a runtime or compiler has for it: `10.3`, `sm_103`, `sm_103a`,
/// `sm_100f`, `compute_103` (a and f do not change it), and what rocm() takes; errors as there.
[[nodiscard]] MLA_DTYPE_EXPORT Platform parse_platform(std::string_view device);

/// A device, and its name where that is known.
struct MLA_DTYPE_ABI Device {
  Platform platform{};
  std::string name{};  ///< as cudaGetDeviceProperties() gives it; empty: not known
};

/// The device of what parse_platform() takes, without a name, or of a card that is known by name:
/// `NVIDIA H200`, `H200`, `B300`, `MI300X`; case and vendor do not matter. Of a model with several
/// forms (`H100`: SXM, PCIe, NVL), or an unknown one (`H200 NVL`), only the platform is known.
/// std::invalid_argument for any other.
[[nodiscard]] MLA_DTYPE_EXPORT Device parse_device(std::string_view device);

/// A card that is known by name.
struct KnownDevice {
  std::string_view name{};  ///< as runtimes report it
  Platform platform{};      ///< whose FP8 format fp8_data_type() has
  int memory_gb_per_s = 0;  ///< bandwidth of its memory
};

/// All of them. Never changes.
[[nodiscard]] MLA_DTYPE_EXPORT const std::vector<KnownDevice>& known_devices();

/// Whether this is a CUDA device of capability `major`.x: family 10 is B200 (10.0), B300 (10.3) and
/// their kin, but no ROCm device (vllm/platforms/interface.py, is_device_capability_family()).
[[nodiscard]] MLA_DTYPE_EXPORT bool is_capability_family(const Platform& platform,
                                                         int major) noexcept;

/// The FP8 type that the device computes in: float8_e4m3fn from CUDA capability 8.9 on, on gfx95x,
/// and from gfx12 on; float8_e4m3fnuz on gfx94x; none on others, whose hardware has no FP8
/// (vllm/platforms/rocm.py, aiter/utility/dtypes.py). For later devices it is an assumption.
[[nodiscard]] MLA_DTYPE_EXPORT std::optional<DataType> fp8_data_type(const Platform& platform);

/// `sm_103`, `gfx942`, or `none`.
[[nodiscard]] MLA_DTYPE_EXPORT std::string to_string(const Platform& platform);

/// The devices of one runtime from one version to another, both included; or one Platform alone.
class MLA_DTYPE_EXPORT DeviceRange {
 public:
  DeviceRange(const Platform& device);  // NOLINT: implicit
  /// std::invalid_argument where no device can be between the two, or one of them is none.
  DeviceRange(const Platform& first, const Platform& last);

  [[nodiscard]] bool contains(const Platform& platform) const noexcept;
  [[nodiscard]] bool contains(const DeviceRange& other) const noexcept;

  friend MLA_DTYPE_EXPORT std::string to_string(const DeviceRange& range);

 private:
  Platform first_{};
  Platform last_{};
};

/// CUDA devices of capability `major`.x.
[[nodiscard]] MLA_DTYPE_EXPORT DeviceRange cuda_family(int major);

/// `sm_103`, `CUDA capability 10.x`, or `sm_80 to sm_129`.
[[nodiscard]] MLA_DTYPE_EXPORT std::string to_string(const DeviceRange& range);

}  // namespace mla_dtype
