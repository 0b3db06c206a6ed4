// SPDX-License-Identifier: Apache-2.0
#pragma once

// The command-line tool within this process: its own main(), a thousand times as fast as a process.

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

int mla_dtype_tool_main(int argc, char** argv);

namespace mla_dtype::fuzz {

/// What is written to one of the standard streams while this lives. glibc lets them be replaced.
class Captured {
 public:
  explicit Captured(std::FILE*& stream) : stream_(stream), real_(stream) {
    stream_ = open_memstream(&text_, &size_);
  }
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;
  ~Captured() {
    take();
    std::free(text_);
  }

  std::string take() {
    if (stream_ != real_) std::fclose(std::exchange(stream_, real_));
    return {text_, size_};
  }

 private:
  std::FILE*& stream_;
  std::FILE* const real_;
  char* text_ = nullptr;
  std::size_t size_ = 0;
};

struct ToolAnswer {
  int exit_code = -1;
  std::string out, err;
};

inline ToolAnswer run_tool(std::vector<std::string> words) {
  words.insert(words.begin(), "mla-dtype");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  Captured out(stdout), err(stderr);
  const int exit_code = mla_dtype_tool_main(static_cast<int>(words.size()), argv.data());
  return {exit_code, out.take(), err.take()};
}

/// A directory of this process, which goes with it.
class OwnDirectory {
 public:
  OwnDirectory() : path_((std::filesystem::temp_directory_path() / "mla_dtype_XXXXXX").string()) {
    if (mkdtemp(path_.data()) == nullptr) std::abort();
  }
  OwnDirectory(const OwnDirectory&) = delete;
  OwnDirectory& operator=(const OwnDirectory&) = delete;
  ~OwnDirectory() {
    for (const std::string& name : names_) std::remove((path_ + '/' + name).c_str());
    std::filesystem::remove(path_);
  }

  std::string write(const std::string& name, const std::string& content) {
    names_.insert(name);
    std::ofstream(path_ + '/' + name, std::ios::binary) << content;
    return path_ + '/' + name;
  }
  void remove(const std::string& name) { std::remove((path_ + '/' + name).c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::set<std::string> names_;
};

}  // namespace mla_dtype::fuzz
