// Code for NEON: random kernels as objects for aarch64, linked into a small program that runs under emulation
// and is compared with the interpreter here. Skipped where the cross compiler (g++-aarch64-linux-gnu) or the
// emulator (qemu-user) is not installed. LAZULI_TEST_KERNELS / 50 says how many.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <lazuli/compiler/interpreter/interpreter.h>
#include <lazuli/compiler/llvm/codegen.h>
#include <lazuli/compiler/llvm/target.h>

#include "support/random_kernel.h"

namespace lazuli {
namespace {

namespace fs = std::filesystem;
using testing::RandomCase;
using Bytes = std::vector<std::vector<std::byte>>;

bool is_installed(const std::string& program) {
  return std::system(("command -v " + program + " >/dev/null 2>&1").c_str()) == 0;
}

class Neon : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* program : {"aarch64-linux-gnu-g++", "qemu-aarch64"}) {
      if (!is_installed(program)) GTEST_SKIP() << program << " is not installed";
    }
    std::string name = (fs::temp_directory_path() / "lazuli-neon-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override {
    if (!folder_.empty()) fs::remove_all(folder_);
  }

  static void put(std::ostream& out, int64_t value) {
    out.write(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  static void put(std::ostream& out, const std::vector<int64_t>& values) {
    put(out, static_cast<int64_t>(values.size()));
    for (const int64_t value : values) put(out, value);
  }

  /// Writes a case for the driver, and gives back what the interpreter makes of it.
  static Bytes write_case(std::ostream& out, const RandomCase& random) {
    std::vector<int64_t> calls;
    const InterpretedKernel interpreted(random.kernel);
    Bytes expected = testing::run_case(
        random, [&](const kir::KernelArguments& arguments, std::byte* scratch, int64_t outer_begin,
                    int64_t outer_end, int64_t inner_begin, int64_t inner_end) {
          calls.insert(calls.end(), {outer_begin, outer_end, inner_begin, inner_end});
          interpreted.run(arguments, scratch, outer_begin, outer_end, inner_begin, inner_end);
        });
    put(out, random.extents);
    put(out, random.strides);
    put(out, static_cast<int64_t>(random.scratch_size));
    put(out, static_cast<int64_t>(random.buffers.size()));
    for (size_t a = 0; a < random.buffers.size(); ++a) {
      const RandomCase::Buffer& buffer = random.buffers[a];
      put(out, random.kernel.accesses[a].kind == kir::Access::Kind::scratch ? 1 : 0);
      put(out, static_cast<int64_t>(buffer.first));
      put(out, static_cast<int64_t>(buffer.bytes.size()));
      out.write(reinterpret_cast<const char*>(buffer.bytes.data()),
                static_cast<std::streamsize>(buffer.bytes.size()));
    }
    put(out, static_cast<int64_t>(calls.size() / 4));
    for (const int64_t bound : calls) put(out, bound);
    return expected;
  }

  void run(const std::string& command) const {
    const std::string log = (folder_ / "log").string();
    const int status = std::system((command + " >" + log + " 2>&1").c_str());
    std::stringstream text;
    text << std::ifstream(log).rdbuf();
    ASSERT_EQ(status, 0) << command << "\n" << text.str();
  }

  fs::path folder_;
};

TEST_F(Neon, AgreesWithTheInterpreter) {
  const Target target = target_for("cortex-a72", "", "aarch64-linux-gnu");
  const char* wanted = std::getenv("LAZULI_TEST_KERNELS");
  const uint64_t count = (wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 10000) / 50;
  ASSERT_GT(count, 0u);
  std::vector<RandomCase> cases;
  std::vector<Bytes> expected;
  std::string objects, names;
  std::ofstream list(folder_ / "kernels.cpp");
  std::ofstream input(folder_ / "input", std::ios::binary);
  put(input, static_cast<int64_t>(count));
  for (uint64_t n = 0; n < count; ++n) {
    cases.push_back(testing::make_random_case(3000000 + n));
    expected.push_back(write_case(input, cases.back()));
    CodegenOptions options;
    options.symbol = "kernel" + std::to_string(n);
    const fs::path object = folder_ / (options.symbol + ".o");
    std::ofstream(object, std::ios::binary)
        << kernel_object(target, kir::expand_math(cases.back().kernel), options);
    objects += " " + object.string();
    list << "extern \"C\" void " << options.symbol << "(const Arguments*, char*, long, long, long, long);\n";
    names += options.symbol + ", ";
  }
  list << "extern const Kernel kernels[] = {" << names << "};\n";
  list.close();
  input.close();
  const std::string folder = folder_.string();
  {
    std::ofstream all(folder_ / "all.cpp");
    all << "#include \"" << LAZULI_TESTS << "/support/cross/driver.cpp\"\n#include \"kernels.cpp\"\n";
  }
  run("aarch64-linux-gnu-g++ -O1 -std=c++20 -static -o " + folder + "/driver " + folder + "/all.cpp" +
      objects + " -lm");
  run("qemu-aarch64 " + folder + "/driver " + folder + "/input " + folder + "/output");

  std::ifstream output(folder_ / "output", std::ios::binary);
  for (uint64_t n = 0; n < count; ++n) {
    Bytes actual;
    for (const RandomCase::Buffer& buffer : cases[n].buffers) {
      actual.emplace_back(buffer.bytes.size());
      output.read(reinterpret_cast<char*>(actual.back().data()),
                  static_cast<std::streamsize>(actual.back().size()));
      ASSERT_TRUE(output.good() || buffer.bytes.empty());
    }
    EXPECT_EQ(testing::difference(cases[n], expected[n], actual), "") << "kernel " << n;
  }
}

}  // namespace
}  // namespace lazuli
