// SPDX-License-Identifier: Apache-2.0
#include <mla_dtype/platform.h>

#include <iterator>

#include "facts/devices.h"
#include "words/form.h"
#include "words/invalid_argument.h"

namespace mla_dtype {
namespace {

constexpr char rocm_forms[] = "a ROCm device like gfx942 or gfx942:sramecc+:xnack-";
// To find what was meant among.
constexpr std::string_view platforms[] = {"sm_80",  "sm_89",   "sm_90",   "sm_100", "sm_103",
                                          "sm_110", "sm_120",  "sm_121",  "gfx90a", "gfx942",
                                          "gfx950", "gfx1100", "gfx1201", "gfx1250"};

constexpr char cuda_forms[] = "a CUDA device like 10.3, sm_103, sm_103a or compute_103";

}  // namespace

Platform cuda(int major, int minor) {
  if (major < 1 || minor < 0 || minor > 9) {
    detail::throw_invalid_argument("device", detail::filled("CUDA capability {}.{}", major, minor),
                                   "a major from 1 on and a minor from 0 to 9");
  }
  return {Platform::Runtime::cuda, {major, minor}};
}

Platform rocm(std::string_view gfx_arch) {
  if (const auto version = detail::parse_rocm(gfx_arch)) return {Platform::Runtime::rocm, *version};
  detail::throw_unknown_name("device", gfx_arch,
                             {"gfx90a", "gfx942", "gfx950", "gfx1100", "gfx1201", "gfx1250"},
                             rocm_forms);
}

Platform parse_platform(std::string_view device) {
  if (const auto version = detail::parse_cuda(device)) return cuda(version->first, version->second);
  if (detail::parse_rocm(device)) return rocm(device);
  detail::throw_unknown_name("device", device, {std::begin(platforms), std::end(platforms)},
                             detail::filled("{}, {}", cuda_forms, rocm_forms));
}

Device parse_device(std::string_view device) {
  if (const auto known = detail::find_device(device)) return *known;
  if (detail::parse_cuda(device) || detail::parse_rocm(device)) return {parse_platform(device), {}};
  std::vector<std::string_view> names(std::begin(platforms), std::end(platforms));
  for (const KnownDevice& known : known_devices()) {
    names.push_back(known.name);
    names.push_back(known.name.substr(known.name.find(' ') + 1));  // without the vendor
  }
  detail::throw_unknown_name("device", device, names,
                             detail::filled("{}, {}, and cards by name, like H200 (see nvidia-smi "
                                            "--query-gpu=name,compute_cap --format=csv)",
                                            cuda_forms, rocm_forms));
}

bool is_capability_family(const Platform& platform, int major) noexcept {
  return major > 0 && cuda_family(major).contains(platform);
}

std::string to_string(const Platform& platform) {
  if (platform == Platform{}) return "none";
  const bool is_cuda = platform.runtime_ == Platform::Runtime::cuda;
  return is_cuda ? detail::filled("sm_{}{}", platform.major_, platform.minor_)
                 : detail::filled("gfx{}{}", platform.major_,
                                  detail::hex_byte(static_cast<unsigned>(platform.minor_)));
}

DeviceRange::DeviceRange(const Platform& device) : DeviceRange(device, device) {}

DeviceRange::DeviceRange(const Platform& first, const Platform& last) : first_(first), last_(last) {
  if (first == Platform{} || !contains(first)) {
    detail::throw_invalid_argument("device range",
                                   detail::filled("{} to {}", to_string(first), to_string(last)),
                                   "two CUDA or two ROCm devices, the older one first");
  }
}

bool DeviceRange::contains(const Platform& platform) const noexcept {
  return platform.runtime_ == first_.runtime_ && platform.runtime_ == last_.runtime_ &&
         first_.version() <= platform.version() && platform.version() <= last_.version();
}

bool DeviceRange::contains(const DeviceRange& other) const noexcept {
  return contains(other.first_) && contains(other.last_);
}

DeviceRange cuda_family(int major) { return {cuda(major, 0), cuda(major, 9)}; }

std::string to_string(const DeviceRange& range) {
  if (range.first_ == range.last_) return to_string(range.first_);
  const int major = range.first_.major_;
  if (range.first_.minor_ == 0 && range.last_ == cuda(major, 9)) {
    return detail::filled("CUDA capability {}.x", major);
  }
  return detail::filled("{} to {}", to_string(range.first_), to_string(range.last_));
}

}  // namespace mla_dtype
