#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <sstream>
#include <string>

#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/Module.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Support/raw_ostream.h>

#include <lazuli/compiler/llvm/machine.h>
#include <lazuli/compiler/llvm/target.h>
#include <lazuli/compiler/templates/generators.h>
#include <lazuli/compiler/templates/tap_tile.h>

namespace lazuli::templates {
namespace {

/// The assembly of what `build` generates for a target, which this machine need not be able to run.
std::string assembly(const Target& target, const std::function<void(llvm::Module&)>& build) {
  const MachineCompiler compiler(target);
  llvm::LLVMContext context;
  llvm::Module module("templates", context);
  compiler.prepare(module);
  build(module);
  std::string fault;
  llvm::raw_string_ostream stream(fault);
  EXPECT_FALSE(llvm::verifyModule(module, &stream)) << fault;
  compiler.optimize(module);
  return compiler.emit_assembly(module);
}

bool mentions(const std::string& text, const char* what) {
  return text.find(what) != std::string::npos;
}

#if defined(__x86_64__)

/// Whether a vector register is written to or read from the stack.
bool spills_vectors(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (mentions(line, "(%rsp)") && mentions(line, "mm")) return true;
  }
  return false;
}

constexpr const char* generated_cpus[] = {"haswell", "alderlake", "skylake-avx512", "sapphirerapids",
                                          "znver4"};

std::string panel_assembly(const char* cpu, const PanelShape& shape) {
  const Target target = target_for(cpu);
  return assembly(target, [&](llvm::Module& module) { build_panel_dot(module, target, shape); });
}

TEST(TemplateGenerators, Int8PanelsUseTheTargetsByteProducts) {
  for (const int bits : {2, 3, 4, 5, 6, 8}) {
    for (const int rows : {1, 4}) {
      const PanelShape shape{{bits, 64, float16}, true, rows};
      const std::string haswell = panel_assembly("haswell", shape);
      EXPECT_TRUE(mentions(haswell, "vpmaddubsw")) << bits;
      EXPECT_FALSE(mentions(haswell, "vpdpbusd") || mentions(haswell, "zmm")) << bits;
      const std::string alderlake = panel_assembly("alderlake", shape);
      EXPECT_TRUE(mentions(alderlake, "vpdpbusd")) << bits;
      EXPECT_FALSE(mentions(alderlake, "zmm")) << bits;
      const std::string skylake = panel_assembly("skylake-avx512", shape);
      EXPECT_TRUE(mentions(skylake, "vpmaddubsw") && mentions(skylake, "zmm")) << bits;
      EXPECT_FALSE(mentions(skylake, "vpdpbusd")) << bits;
      const std::string sapphire = panel_assembly("sapphirerapids", shape);
      EXPECT_TRUE(mentions(sapphire, "vpdpbusd") && mentions(sapphire, "zmm")) << bits;
    }
  }
}

TEST(TemplateGenerators, FloatPanelsOfFewBitsAreLookedUp) {
  EXPECT_TRUE(mentions(panel_assembly("sapphirerapids", {{4, 64, bfloat16}, false, 1}), "vpermps"));
  EXPECT_FALSE(mentions(panel_assembly("sapphirerapids", {{4, 64, bfloat16}, false, 1}), "vcvtdq2ps"));
  EXPECT_TRUE(mentions(panel_assembly("haswell", {{2, 32, float32}, false, 2}), "vpermilps"));
  EXPECT_TRUE(mentions(panel_assembly("haswell", {{5, 128, float16}, false, 4}), "vcvtdq2ps"));
}

TEST(TemplateGenerators, TilesFillTheRegisters) {
  for (const char* cpu : generated_cpus) {
    const Target target = target_for(cpu);
    ASSERT_TRUE(generates_for(target)) << cpu;
    for (const Dtype operands : {float32, float64, bfloat16}) {
      if (operands == bfloat16 && !target.bf16) continue;
      const bool is_double = operands == float64;
      const TileSize size = tile_size(target, operands);
      EXPECT_LT((size.rows + 1) * size.column_vectors, target.vector_registers);
      EXPECT_EQ(size.columns() % (is_double ? 8 : 16), 0);
      for (int form = 0; form < 2 * gemm_forms; ++form) {
        const bool wide = form >= gemm_forms;
        const auto lies = static_cast<GemmForm>(form % gemm_forms);
        if (wide && (lies == GemmForm::strided || operands == bfloat16)) continue;
        const std::string text = assembly(target, [&](llvm::Module& module) {
          build_gemm(module, target, {operands, lies, wide});
        });
        const char* instruction = operands == bfloat16 ? "vdpbf16ps"
                                  : is_double          ? "vfmadd231pd"
                                                       : "vfmadd231ps";
        EXPECT_TRUE(mentions(text, instruction)) << cpu;
        EXPECT_EQ(mentions(text, "zmm"), target.vector_bits == 512) << cpu;
        // A tile that did not fit would go through the stack.
        EXPECT_FALSE(spills_vectors(text)) << cpu << ", form " << form;
      }
    }
  }
}

void expect_tap_tile_without_spills(const Target& target, const TapShape& shape) {
  const TileSize size = tap_tile_size(target, shape);
  EXPECT_LT((size.rows + shape.form.taps) * size.column_vectors, target.vector_registers);
  const std::string text =
      assembly(target, [&](llvm::Module& module) { build_tap_tile(module, target, shape); });
  EXPECT_EQ(mentions(text, "zmm"), target.vector_bits == 512);
  EXPECT_FALSE(spills_vectors(text)) << tap_tile_key(shape);
}

TEST(TemplateGenerators, TilesOfTapsFillTheRegistersOfTargetsThatHaveMany) {
  for (const char* cpu : generated_cpus) {
    SCOPED_TRACE(cpu);
    const Target target = target_for(cpu);
    for (const TapForm form : {TapForm{3, 1, 2}, TapForm{3, 2, 3}}) {
      EXPECT_EQ(generates_tap_tile(target, form), target.vector_registers >= 32);
      if (!generates_tap_tile(target, form)) continue;
      for (const Dtype operands : {float32, float64})
        expect_tap_tile_without_spills(target, {operands, form});
    }
  }
  const Target target = target_for("sapphirerapids");
  for (int64_t taps = 1; taps <= most_shared_taps; ++taps) {
    for (int64_t step = 1; step <= most_tap_steps; ++step) {
      for (int64_t vectors = fewest_tap_vectors; vectors <= most_tap_vectors; ++vectors) {
        const TapForm form{taps, step, vectors};
        if (generates_tap_tile(target, form)) expect_tap_tile_without_spills(target, {float32, form});
      }
    }
  }
}

TEST(TemplateGenerators, RowsCompileForEveryTarget) {
  for (const char* cpu : generated_cpus) {
    const Target target = target_for(cpu);
    for (const Dtype weights : {float32, float16, bfloat16, float64}) {
      for (const int rows : {1, 3, 8}) {
        const RowsShape shape{weights, rows};
        const std::string dot =
            assembly(target, [&](llvm::Module& module) { build_dot_rows(module, target, shape); });
        const std::string axpy =
            assembly(target, [&](llvm::Module& module) { build_axpy_rows(module, target, shape); });
        EXPECT_EQ(mentions(dot, "vcvtph2ps"), weights == float16) << cpu;
        EXPECT_EQ(mentions(axpy, "vcvtph2ps"), weights == float16) << cpu;
        EXPECT_EQ(mentions(dot, "zmm"), target.vector_bits == 512) << cpu;
      }
    }
  }
}

TEST(TemplateGenerators, WhatIsNeededNextIsFetchedIntoTheSecondLevel) {
  for (const char* cpu : generated_cpus) {
    const Target target = target_for(cpu);
    for (const Dtype weights : {float32, float16, bfloat16}) {
      for (const bool ahead : {false, true}) {
        const RowsShape shape{weights, 4, ahead};
        const std::string dot =
            assembly(target, [&](llvm::Module& module) { build_dot_rows(module, target, shape); });
        const std::string axpy =
            assembly(target, [&](llvm::Module& module) { build_axpy_rows(module, target, shape); });
        EXPECT_EQ(mentions(dot, "prefetcht1"), ahead) << cpu;
        EXPECT_EQ(mentions(axpy, "prefetcht1"), ahead) << cpu;
        EXPECT_EQ(mentions(dot, "prefetcht0"), ahead && target.bytes_ahead > 0) << cpu;
        EXPECT_EQ(mentions(axpy, "prefetcht0"), ahead && target.bytes_ahead > 0) << cpu;
      }
    }
  }
}

TEST(TemplateGenerators, PanelsAskForAllLinesOfAGroupOrForOne) {
  const auto lines_asked_for = [](const char* cpu, const char* cache, bool few_lines) {
    const std::string text = panel_assembly(cpu, {{4, 64, bfloat16}, true, 1, few_lines});
    int count = 0;
    for (size_t at = text.find(cache); at != std::string::npos; at = text.find(cache, at + 1)) ++count;
    return count;
  };
  const PanelShape all{{4, 64, bfloat16}, true, 1}, few{{4, 64, bfloat16}, true, 1, true};
  EXPECT_NE(panel_dot_key(all), panel_dot_key(few));
  EXPECT_EQ(lines_asked_for("sapphirerapids", "prefetcht1", true), 1);
  // Four lines of codes, in a loop that takes two steps a group, and one of scales and biases.
  EXPECT_EQ(lines_asked_for("sapphirerapids", "prefetcht1", false), 5);
  EXPECT_EQ(lines_asked_for("znver4", "prefetcht1", false), 5);
  // Again when they are needed soon, where the processor fetches late.
  EXPECT_EQ(lines_asked_for("sapphirerapids", "prefetcht0", false), 5);
  EXPECT_EQ(lines_asked_for("znver4", "prefetcht0", false), 0);
}

TEST(TemplateGenerators, NothingIsGeneratedForPlainTargets) {
  EXPECT_FALSE(generates_for(target_for("x86-64")));
  EXPECT_FALSE(generates_for(target_for("x86-64-v2")));
  EXPECT_TRUE(generates_for(target_for("x86-64-v3")));
}

#endif

TEST(TemplateGenerators, KeysTellShapesApart) {
  std::set<std::string> keys;
  int count = 0;
  const auto add = [&](const std::string& key) {
    keys.insert(key);
    ++count;
  };
  for (const Dtype operands : {float32, float64, bfloat16}) {
    for (int form = 0; form < gemm_forms; ++form) {
      for (const bool wide : {false, true}) add(gemm_key({operands, static_cast<GemmForm>(form), wide}));
    }
  }
  for (const Dtype operands : {float32, float64}) {
    for (int64_t taps = 2; taps <= most_shared_taps; ++taps) {
      for (int64_t step = 1; step <= most_tap_steps; ++step) {
        for (const int64_t vectors : {2, 3}) add(tap_tile_key({operands, {taps, step, vectors}}));
      }
    }
  }
  for (const Dtype weights : {float32, float16, bfloat16, float64}) {
    for (int rows = 1; rows <= max_vector_rows; ++rows) {
      add(dot_rows_key({weights, rows}));
      add(axpy_rows_key({weights, rows}));
    }
  }
  for (const int bits : {2, 3, 4, 5, 6, 8}) {
    for (const int group : {32, 64, 128}) {
      for (const Dtype scales : {float32, float16, bfloat16}) {
        for (const bool int8 : {false, true}) {
          for (int rows = 1; rows <= max_vector_rows; ++rows)
            add(panel_dot_key({{bits, group, scales}, int8, rows}));
        }
      }
    }
  }
  EXPECT_EQ(static_cast<int>(keys.size()), count);
}

}  // namespace
}  // namespace lazuli::templates
