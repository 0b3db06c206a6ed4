// SPDX-License-Identifier: Apache-2.0
#include "facts/devices.h"

#include <algorithm>
#include <charconv>

namespace mla_dtype {
namespace {

using Version = std::pair<int, int>;

bool is_lower_or_digit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'); }

bool remove_prefix(std::string_view& text, std::string_view prefix) {
  if (text.substr(0, prefix.size()) != prefix) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// -1 for what is no number.
int parse_number(std::string_view digits, int base) {
  if (!std::all_of(digits.begin(), digits.end(), is_lower_or_digit)) return -1;
  int value = -1;
  const auto end = digits.data() + digits.size();
  return std::from_chars(digits.data(), end, value, base).ptr == end ? value : -1;
}

// The major is a decimal number from 1 on without leading zeros.
std::optional<Version> parse_version(std::string_view major, std::string_view rest, int base) {
  const Version version(parse_number(major, 10), parse_number(rest, base));
  if (major.substr(0, 1) == "0" || version.first < 1 || version.second < 0) return std::nullopt;
  return version;
}

// The name that runtimes report; the platform; GB/s, as the data sheet is quoted where it says
// (looked up 2026-11-26). All CUDA capabilities but 8.0 are also those of
// developer.nvidia.com/cuda-gpus, all gfx architectures those of rocm.docs.amd.com (7.13), "GPU
// specifications". Left out: cards that sources disagree on (MI308X), and names that another card
// may have (AMD's without amdgpu.ids).
std::vector<KnownDevice> make_devices() {
  return {
      // bottlerocket PR 3873; glennklockwood.com
      {"NVIDIA A100-SXM4-40GB", cuda(8, 0), 1555},
      // sglang#965; aiconfigurator a100_sxm.yaml
      {"NVIDIA A100-SXM4-80GB", cuda(8, 0), 2039},
      // aiconfigurator l4.yaml
      {"NVIDIA L4", cuda(8, 9), 300},
      // aiconfigurator l40s.yaml
      {"NVIDIA L40S", cuda(8, 9), 864},
      // clpeak#106; guru3d.com
      {"NVIDIA GeForce RTX 4090", cuda(8, 9), 1008},
      // test-infra#7631; aiconfigurator h100_sxm.yaml
      {"NVIDIA H100 80GB HBM3", cuda(9, 0), 3350},
      // aiconfigurator h100_pcie.yaml; brief PB-11133
      {"NVIDIA H100 PCIe", cuda(9, 0), 2000},
      // akash provider-configs#91
      {"NVIDIA H100 NVL", cuda(9, 0), 3900},
      // ml-engineering#60; nishikiout.net, 3,615 measured (PowerCapping)
      {"NVIDIA GH200 480GB", cuda(9, 0), 4000},
      // mig-parted#120; aiconfigurator h200_sxm.yaml
      {"NVIDIA H200", cuda(9, 0), 4800},
      // sglang#11052; tomshardware.com
      {"NVIDIA H20", cuda(9, 0), 4000},
      // pytorch/ao#4002; aiconfigurator b200_sxm.yaml
      {"NVIDIA B200", cuda(10, 0), 7700},
      // aiconfigurator gb200.yaml
      {"NVIDIA GB200", cuda(10, 0), 8000},
      // pytorch/ao#3640; aiconfigurator b300_sxm.yaml
      {"NVIDIA B300 SXM6 AC", cuda(10, 3), 7750},
      // pytorch#196944; aiconfigurator gb300.yaml
      {"NVIDIA GB300", cuda(10, 3), 8000},
      // vllm#34470; antirez/ds4#788
      {"NVIDIA Thor", cuda(11, 0), 273},
      // OCRFlux#70; huggingface.co/blog/exolabs
      {"NVIDIA GeForce RTX 5090", cuda(12, 0), 1792},
      // vllm#24383
      {"NVIDIA RTX PRO 6000 Blackwell Server Edition", cuda(12, 0), 1597},
      // inference#3866; itdaily.com
      {"NVIDIA RTX PRO 6000 Blackwell Workstation Edition", cuda(12, 0), 1792},
      // heretic#13; huggingface.co/blog/exolabs
      {"NVIDIA GB10", cuda(12, 1), 273},
      // a die; libdrm amdgpu.ids; IREE KnownTargets.cpp
      {"AMD Instinct MI250X", rocm("gfx90a"), 1600},
      // amdgpu.ids; KnownTargets.cpp
      {"AMD Instinct MI300X", rocm("gfx942"), 5300},
      // amdgpu.ids; docs.vultr.com
      {"AMD Instinct MI325X", rocm("gfx942"), 6000},
      // amdgpu.ids; KnownTargets.cpp
      {"AMD Instinct MI350X", rocm("gfx950"), 8000},
      // amdgpu.ids; KnownTargets.cpp
      {"AMD Instinct MI355X", rocm("gfx950"), 8000},
  };
}

constexpr std::string_view between_words = " -_";

// In lower case, without the vendor.
std::vector<std::string> words_of(std::string_view name) {
  std::vector<std::string> words(1);
  for (const char c : name) {
    if (between_words.find(c) == between_words.npos) {
      words.back() += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  const auto is_vendor = [](const std::string& word) {
    return word.empty() || word == "nvidia" || word == "amd" || word == "instinct" ||
           word == "geforce";
  };
  words.erase(std::remove_if(words.begin(), words.end(), is_vendor), words.end());
  return words;
}

// Up to the first number: `h100`, `rtx pro 6000`. What follows is a form of that card.
std::vector<std::string> model_of(const std::vector<std::string>& words) {
  const auto has_digit = [](const std::string& word) {
    return word.find_first_of("0123456789") != word.npos;
  };
  const auto number = std::find_if(words.begin(), words.end(), has_digit);
  return {words.begin(), number == words.end() ? number : number + 1};
}

}  // namespace

// `10.3`, or `103` where a prefix says that the last digit is the minor; a prefix allows a suffix.
std::optional<Version> detail::parse_cuda(std::string_view text) {
  const bool prefixed = remove_prefix(text, "sm_") || remove_prefix(text, "compute_");
  if (prefixed && !text.empty() && (text.back() == 'a' || text.back() == 'f')) {
    text.remove_suffix(1);
  }
  // The major; a dot, where no prefix says how to read it; the minor.
  const std::size_t tail = prefixed ? 1 : 2;
  if (text.size() < tail || (!prefixed && text[text.size() - 2] != '.')) return std::nullopt;
  return parse_version(text.substr(0, text.size() - tail), text.substr(text.size() - 1), 10);
}

// `gfx90a` is 9.0.10: a decimal major, then one hexadecimal digit each for minor and stepping; then
// any number of features like `:xnack-`.
std::optional<Version> detail::parse_rocm(std::string_view text) {
  if (!remove_prefix(text, "gfx")) return std::nullopt;
  const std::string_view version = text.substr(0, text.find(':'));
  text.remove_prefix(version.size());
  while (remove_prefix(text, ":")) {
    const auto stop = std::find_if_not(text.begin(), text.end(), is_lower_or_digit);
    if (stop == text.begin() || stop == text.end() || (*stop != '+' && *stop != '-')) {
      return std::nullopt;
    }
    text.remove_prefix(static_cast<std::size_t>(stop - text.begin()) + 1);
  }
  if (!text.empty() || version.size() < 3) return std::nullopt;
  const std::size_t tail = version.size() - 2;
  return parse_version(version.substr(0, tail), version.substr(tail), 16);
}

const std::vector<KnownDevice>& known_devices() {
  static const auto& devices = *new const std::vector<KnownDevice>(make_devices());
  return devices;
}

std::optional<Device> detail::find_device(std::string_view name) {
  const std::vector<std::string> words = words_of(name);
  const std::vector<std::string> model = model_of(words);
  std::vector<const KnownDevice*> alike;
  for (const KnownDevice& known : known_devices()) {
    const std::vector<std::string> known_words = words_of(known.name);
    if (known_words == words) return Device{known.platform, std::string(known.name)};
    if (!words.empty() && model_of(known_words) == model) alike.push_back(&known);
  }
  if (alike.empty()) return std::nullopt;
  const bool is_it = alike.size() == 1 && words == model;
  return Device{alike[0]->platform, is_it ? std::string(alike[0]->name) : std::string()};
}

// vllm/platforms/rocm.py, aiter/utility/dtypes.py.
std::optional<DataType> fp8_data_type(const Platform& platform) {
  const Version version = platform.version();  // below all others where there is no device
  if (platform.runtime_ == Platform::Runtime::cuda) {
    return version >= Version(8, 9) ? std::optional(DataType::float8_e4m3fn) : std::nullopt;
  }
  const bool is_rdna = version.first == 10 || version.first == 11;
  if (is_rdna || version < Version(9, 0x40)) return std::nullopt;
  return version < Version(9, 0x50) ? DataType::float8_e4m3fnuz : DataType::float8_e4m3fn;
}

}  // namespace mla_dtype
