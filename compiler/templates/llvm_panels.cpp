// Generated kernels on packed quantized panels (quantized_layout.h): a vector lane is a row of weights.

#include <algorithm>
#include <cstddef>
#include <stdexcept>

#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/IntrinsicsX86.h>

#include <lazuli/compiler/templates/generators.h>
#include <lazuli/compiler/templates/llvm_support.h>
#include <lazuli/compiler/templates/quantized_layout.h>
#include <lazuli/compiler/templates/quantized_matmul.h>

namespace lazuli::templates {

namespace {

using llvm::Value;
using Values = llvm::SmallVector<Value*, 8>;

class PanelEmitter {
 public:
  PanelEmitter(llvm::Module& module, const Target& target, const PanelShape& shape)
      : b_(module, target),
        shape_(shape),
        lanes_(target.vector_bits / 32),
        parts_(static_cast<int>(panel_lanes) / lanes_),
        vnni_(shape.int8 && target.vnni),
        x_bytes_(shape.int8 ? 1 : 4),
        bits_(shape.format.bits),
        unit_quads_(unit_quads(bits_)) {}

  void emit() {
    load_arguments();
    // More accumulators than registers would only go through memory: then the panel, which is in cache
    // by now, is passed over again.
    const int accumulators = parts_ * (shape_.int8 && !vnni_ ? halves() : 1);
    const int rows_at_once = std::clamp((b_.target().vector_registers - 6) / accumulators, 1, shape_.rows);
    for (int row = 0; row < shape_.rows; row += rows_at_once) {
      emit_rows(row, std::min(rows_at_once, shape_.rows - row));
    }
    b_.ir.CreateRetVoid();
  }

 private:
  void load_arguments() {
    panel_ = b_.pointer(offsetof(PanelDot, panel));
    groups_ = b_.integer(offsetof(PanelDot, groups));
    x_ = b_.pointer(offsetof(PanelDot, x));
    x_row_stride_ = b_.integer(offsetof(PanelDot, x_row_stride));
    steps_ = b_.pointer(offsetof(PanelDot, steps));
    sums_ = b_.pointer(offsetof(PanelDot, sums));
    groups_stride_ = b_.integer(offsetof(PanelDot, groups_stride));
    out_ = b_.pointer(offsetof(PanelDot, out));
    out_row_stride_ = b_.integer(offsetof(PanelDot, out_row_stride));
  }

  llvm::Type* floats() const { return VectorBuilder::widen(b_.ir.getFloatTy(), lanes_); }
  llvm::Type* words() const { return VectorBuilder::widen(b_.ir.getInt32Ty(), lanes_); }
  llvm::Type* shorts() const { return VectorBuilder::widen(b_.ir.getInt16Ty(), lanes_ * 2); }
  llvm::Type* bytes() const { return VectorBuilder::widen(b_.ir.getInt8Ty(), lanes_ * 4); }

  Value* row_of(Value* base, int row, Value* stride, int64_t element_bytes) {
    return b_.element(base, b_.ir.CreateMul(b_.i64(row), stride), element_bytes);
  }

  /// Asks for `bytes` that are needed later, for the second-level cache: panels lie one after another. A line
  /// with each that is read, as there are few places for misses, and what is asked for at once waits for
  /// them. Where the processor fetches late, it is asked for again when it is needed soon, for the
  /// first-level cache: arithmetic that waits for the second one keeps it from seeing lines as far ahead.
  void fetch_ahead(Value* place, int64_t bytes) {
    constexpr int64_t far = 16 << 10, near = 2 << 10;
    constexpr int first_level = 3, second_level = 2;
    if (shape_.few_lines) return;
    for (int64_t at = 0; at < bytes; at += 64) {
      b_.VectorBuilder::prefetch(b_.offset_bytes(place, far + at), second_level);
      if (b_.target().bytes_ahead == 0) continue;
      b_.VectorBuilder::prefetch(b_.offset_bytes(place, near + at), first_level);
    }
  }

  /// All groups of the panel against rows [first, first + count).
  void emit_rows(int first, int count) {
    rows_ = count;
    Values x;
    Values sums;
    Values steps;
    for (int r = 0; r < count; ++r) {
      x.push_back(row_of(x_, first + r, x_row_stride_, x_bytes_));
      sums.push_back(row_of(sums_, first + r, groups_stride_, 4));
      if (shape_.int8) steps.push_back(row_of(steps_, first + r, groups_stride_, 4));
    }
    const int spans = shape_.format.group_size / static_cast<int>(span_columns);
    const int64_t code_bytes = group_code_bytes(shape_.format.bits, shape_.format.group_size);
    const int64_t block_bytes =
        group_bytes(shape_.format.bits, shape_.format.group_size, shape_.format.scale_dtype);

    VectorBuilder::Carried totals;
    for (int i = 0; i < count * parts_; ++i) totals.push_back(b_.zero(floats()));
    totals = b_.loop(
        b_.i64(0), groups_, 1, totals,
        [&](Value* group, const VectorBuilder::Carried& before) {
          Value* block = b_.element(panel_, group, block_bytes);
          // A line a group is enough to start the processor's own fetching early, which ends with each page.
          if (shape_.few_lines) b_.VectorBuilder::prefetch(b_.offset_bytes(block, 8 << 10), 2);
          Value* x_offset = b_.times(group, shape_.format.group_size * x_bytes_);
          Values x_group;
          for (Value* row : x) x_group.push_back(b_.offset_bytes(row, x_offset));
          const Values products = emit_group(block, x_group, spans);
          VectorBuilder::Carried after;
          fetch_ahead(b_.offset_bytes(block, code_bytes), block_bytes - code_bytes);
          Values scales;
          Values biases;
          for (int part = 0; part < parts_; ++part) {
            scales.push_back(load_scales(block, code_bytes, part * lanes_));
            biases.push_back(load_scales(block, code_bytes, static_cast<int>(panel_lanes) + part * lanes_));
          }
          for (int r = 0; r < rows_; ++r) {
            Value* sum = b_.broadcast(b_.ir.getFloatTy(), b_.element(sums[r], group, 4), lanes_);
            Value* step = nullptr;
            if (shape_.int8) step = b_.broadcast(b_.ir.getFloatTy(), b_.element(steps[r], group, 4), lanes_);
            for (int part = 0; part < parts_; ++part) {
              Value* scale = step == nullptr ? scales[part] : b_.ir.CreateFMul(scales[part], step);
              Value* total = b_.fma(scale, products[r * parts_ + part], before[r * parts_ + part]);
              after.push_back(b_.fma(biases[part], sum, total));
            }
          }
          return after;
        },
        "group");
    for (int r = 0; r < count; ++r) {
      Value* out = row_of(out_, first + r, out_row_stride_, 4);
      for (int part = 0; part < parts_; ++part) {
        b_.store(float32, totals[r * parts_ + part], b_.offset_bytes(out, int64_t{part} * lanes_ * 4));
      }
    }
  }

  Value* load_scales(Value* block, int64_t offset, int first) {
    const Dtype dtype = shape_.format.scale_dtype;
    return b_.load(dtype, b_.offset_bytes(block, offset + int64_t{first} * dtype.size()), lanes_);
  }

  /// Σ q x over a group, as floats: [row][part].
  Values emit_group(Value* block, const Values& x, int spans) {
    if (!shape_.int8) return float_group(block, x, spans);
    const Values whole = vnni_ ? vnni_group(block, x, spans) : shorts_group(block, x, spans);
    Values products;
    for (Value* sum : whole) products.push_back(b_.ir.CreateSIToFP(sum, floats()));
    return products;
  }

  /// Loops over the units of a span. (Unrolling further makes code generation keep more values than there are
  /// registers.) `body` gets the unit and the activations of its first column.
  using Step = llvm::function_ref<VectorBuilder::Carried(Value* unit, const Values& x,
                                                         const VectorBuilder::Carried& before)>;
  VectorBuilder::Carried units_loop(Value* span, const Values& x, const VectorBuilder::Carried& initial,
                                    Step body) {
    return b_.loop(
        b_.i64(0), b_.i64(static_cast<int64_t>(span_quads) / unit_quads_), 1, initial,
        [&](Value* unit, const VectorBuilder::Carried& before) {
          Values x_unit;
          for (Value* row : x) x_unit.push_back(b_.element(row, unit, unit_quads_ * 4 * x_bytes_));
          return body(b_.element(span, unit, unit_bytes(bits_)), x_unit, before);
        },
        "unit");
  }
  VectorBuilder::Carried spans_loop(
      Value* block, const Values& x, int spans, const VectorBuilder::Carried& initial,
      llvm::function_ref<VectorBuilder::Carried(Value* span, const Values& x, const VectorBuilder::Carried&)>
          body) {
    return b_.loop(
        b_.i64(0), b_.i64(spans), 1, initial,
        [&](Value* span, const VectorBuilder::Carried& before) {
          Values x_span;
          for (Value* row : x) x_span.push_back(b_.element(row, span, span_columns * x_bytes_));
          return body(b_.element(block, span, span_bytes(shape_.format.bits)), x_span, before);
        },
        "span");
  }

  /// The vectors of a unit: those of all lanes, or of a part of them.
  Values load_unit(Value* unit, int part) {
    Values vectors;
    for (int v = 0; v < unit_vectors(bits_); ++v) {
      Value* address = b_.offset_bytes(unit, v * code_vector_bytes + int64_t{part} * lanes_ * 4);
      vectors.push_back(b_.load_raw(b_.ir.getInt32Ty(), address, lanes_));
      if (part == 0) fetch_ahead(address, code_vector_bytes);
    }
    return vectors;
  }
  Value* shift_right(Value* value, int bits) {
    if (bits == 0) return value;
    return b_.ir.CreateLShr(value, llvm::ConstantInt::get(value->getType(), static_cast<uint64_t>(bits)));
  }
  Value* mask(Value* value, uint32_t bits) {
    return b_.ir.CreateAnd(value, llvm::ConstantInt::get(value->getType(), bits));
  }

  static constexpr uint32_t every_byte = 0x01010101u;

  /// a where a bit of the mask is set, else c.
  Value* select_bits(uint32_t bits, Value* a, Value* c) {
    if (b_.target().vector_bits == 512) {
      Value* bits_everywhere = llvm::ConstantInt::get(a->getType(), bits);
      return call(llvm::Intrinsic::x86_avx512_pternlog_d_512, {bits_everywhere, a, c, b_.ir.getInt32(0xca)});
    }
    return b_.ir.CreateOr(mask(a, bits), mask(c, ~bits));
  }

  /// The codes of a quad of a unit as bytes; `in_place` leaves them up by `QuadCodes::shift`.
  Value* quad_bytes(const Values& vectors, int quad, bool in_place) {
    const QuadCodes parts = quad_codes(bits_, quad);
    const int shift = parts.shift();
    Value* codes = vectors[static_cast<size_t>(parts.pieces[0].vector)];
    for (int i = 1; i < parts.count; ++i) {
      const CodePiece& piece = parts.pieces[i];
      Value* moved =
          shift_right(vectors[static_cast<size_t>(piece.vector)], piece.first - piece.weight - shift);
      const int above = parts.pieces[i - 1].weight + shift;
      codes = select_bits((0x100u - (1u << above)) * every_byte, codes, moved);
    }
    if (bits_ == 8) return codes;
    const uint32_t whole = (1u << bits_) - 1;
    if (in_place) return mask(codes, (whole << shift) * every_byte);
    return mask(shift_right(codes, shift), whole * every_byte);
  }

  /// In how many parts codes go through dot products that have room for 4 to 7 bits only.
  int halves() const { return bits_ == 8 ? 2 : 1; }
  /// The lower or the upper half of codes of 8 bits.
  Value* half_of(Value* codes, int half) {
    return halves() == 1 ? codes : mask(shift_right(codes, 4 * half), 0x0f * every_byte);
  }

  /// Four activations of a quad, in every lane.
  Value* activation_bytes(Value* x, int quad) {
    return b_.broadcast(b_.ir.getInt32Ty(), b_.offset_bytes(x, int64_t{quad} * 4), lanes_);
  }

  Value* call(llvm::Intrinsic::ID id, llvm::ArrayRef<Value*> operands) {
    return b_.ir.CreateIntrinsic(id, {}, operands);
  }

  VectorBuilder::Carried zeros(size_t count, llvm::Type* type) {
    return VectorBuilder::Carried(count, b_.zero(type));
  }

  /// By how many bits each quad of a unit is up where it lies.
  llvm::SmallVector<int, 8> shifts() const {
    llvm::SmallVector<int, 8> found;
    for (int quad = 0; quad < unit_quads_; ++quad) found.push_back(quad_codes(bits_, quad).shift());
    return found;
  }

  /// Σ q x over a group, whole: [row][part].
  Values vnni_group(Value* block, const Values& x, int spans) {
    const auto dot = b_.target().vector_bits == 512 ? llvm::Intrinsic::x86_avx512_vpdpbusd_512
                                                    : llvm::Intrinsic::x86_avx512_vpdpbusd_256;
    const int products = rows_ * parts_;
    // Codes that lie further up in their bytes have sums of their own, which move down once a group, where
    // that takes less than moving the codes does.
    const auto quad_shifts = shifts();
    llvm::SmallVector<int, 4> classes(quad_shifts.begin(), quad_shifts.end());
    std::sort(classes.begin(), classes.end());
    classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
    const auto moved = static_cast<int>(std::count_if(quad_shifts.begin(), quad_shifts.end(),
                                                      [](int shift) { return shift > 0; })) *
                       (static_cast<int>(span_quads) / unit_quads_ * spans);
    const auto class_count = static_cast<int>(classes.size());
    const bool in_place = products * (class_count - 1) < moved * parts_ &&
                          products * class_count <= b_.target().vector_registers / 2;
    if (!in_place) classes = {0};
    // As many sums as hide the latency of a dot product; the quads of a span take turns.
    const int sums_wanted = products >= 8 ? 1 : products >= 4 ? 2 : 4;
    const int chains =
        (sums_wanted + static_cast<int>(classes.size()) - 1) / static_cast<int>(classes.size());
    const auto place = [&](size_t kind, int chain, int product) {
      return (kind * static_cast<size_t>(chains) + static_cast<size_t>(chain)) *
                 static_cast<size_t>(products) +
             static_cast<size_t>(product);
    };
    const auto sums = spans_loop(
        block, x, spans, zeros(place(classes.size(), 0, 0), words()),
        [&](Value* span, const Values& x_span, VectorBuilder::Carried after) {
          for (int part = 0; part < parts_; ++part) {
            llvm::SmallVector<int, 4> turns(classes.size(), 0);
            for (int first = 0; first < static_cast<int>(span_quads); first += unit_quads_) {
              const Values vectors =
                  load_unit(b_.offset_bytes(span, first / unit_quads_ * unit_bytes(bits_)), part);
              for (int quad = 0; quad < unit_quads_; ++quad) {
                Value* codes = quad_bytes(vectors, quad, in_place);
                const int shift = in_place ? quad_shifts[static_cast<size_t>(quad)] : 0;
                const auto kind =
                    static_cast<size_t>(std::find(classes.begin(), classes.end(), shift) - classes.begin());
                const int chain = turns[kind]++ % chains;
                for (int r = 0; r < rows_; ++r) {
                  Value*& sum = after[place(kind, chain, r * parts_ + part)];
                  sum = call(dot, {sum, codes, activation_bytes(x_span[r], first + quad)});
                }
              }
            }
          }
          return after;
        });
    Values whole;
    for (int i = 0; i < products; ++i) {
      Value* total = nullptr;
      for (size_t kind = 0; kind < classes.size(); ++kind) {
        Value* sum = sums[place(kind, 0, i)];
        for (int chain = 1; chain < chains; ++chain) sum = b_.ir.CreateAdd(sum, sums[place(kind, chain, i)]);
        if (classes[kind] > 0) {
          sum = b_.ir.CreateAShr(
              sum, llvm::ConstantInt::get(sum->getType(), static_cast<uint64_t>(classes[kind])));
        }
        total = total == nullptr ? sum : b_.ir.CreateAdd(total, sum);
      }
      whole.push_back(total);
    }
    return whole;
  }

  /// Without 8-bit dot products: products of bytes are added in pairs to 16 bits, where codes of up to four
  /// bits have room for all of a span: a lane stays within 8 quads * 2 * 15 * 127 = 30480.
  Values shorts_group(Value* block, const Values& x, int spans) {
    const size_t products = static_cast<size_t>(rows_ * parts_);
    const int quads = bits_ == 5 ? 4 : bits_ == 6 ? 2 : static_cast<int>(span_quads);
    const auto narrow_sums = [&] { return zeros(products * static_cast<size_t>(halves()), shorts()); };
    const auto sums =
        spans_loop(block, x, spans, zeros(products, words()),
                   [&](Value* span, const Values& x_span, const VectorBuilder::Carried& before_span) {
                     if (quads >= unit_quads_) {
                       const auto narrow =
                           units_loop(span, x_span, narrow_sums(),
                                      [&](Value* unit, const Values& x_unit, VectorBuilder::Carried after) {
                                        add_shorts(unit, x_unit, 0, unit_quads_, after);
                                        return after;
                                      });
                       return widened(narrow, before_span);
                     }
                     return units_loop(span, x_span, before_span,
                                       [&](Value* unit, const Values& x_unit, VectorBuilder::Carried after) {
                                         for (int quad = 0; quad < unit_quads_; quad += quads) {
                                           VectorBuilder::Carried narrow = narrow_sums();
                                           add_shorts(unit, x_unit, quad, quads, narrow);
                                           after = widened(narrow, after);
                                         }
                                         return after;
                                       });
                   });
    return Values(sums.begin(), sums.end());
  }

  /// Adds the products of `count` quads of a unit to sums in 16 bits: [half][row][part].
  void add_shorts(Value* unit, const Values& x, int first, int count, VectorBuilder::Carried& sums) {
    const auto multiply = b_.target().vector_bits == 512 ? llvm::Intrinsic::x86_avx512_pmaddubs_w_512
                                                         : llvm::Intrinsic::x86_avx2_pmadd_ub_sw;
    llvm::SmallVector<Values, 2> vectors;
    for (int part = 0; part < parts_; ++part) vectors.push_back(load_unit(unit, part));
    for (int quad = first; quad < first + count; ++quad) {
      Values codes;
      for (const Values& each : vectors) codes.push_back(quad_bytes(each, quad, false));
      for (int half = 0; half < halves(); ++half) {
        for (int r = 0; r < rows_; ++r) {
          for (int part = 0; part < parts_; ++part) {
            Value*& sum = sums[static_cast<size_t>((half * rows_ + r) * parts_ + part)];
            Value* activations =
                b_.ir.CreateBitCast(activation_bytes(x[static_cast<size_t>(r)], quad), bytes());
            Value* weights = b_.ir.CreateBitCast(half_of(codes[static_cast<size_t>(part)], half), bytes());
            sum = b_.ir.CreateAdd(sum, call(multiply, {weights, activations}));
          }
        }
      }
    }
  }

  /// `before` and sums in 16 bits, in pairs.
  VectorBuilder::Carried widened(const VectorBuilder::Carried& narrow, VectorBuilder::Carried before) {
    const auto widen = b_.target().vector_bits == 512 ? llvm::Intrinsic::x86_avx512_pmaddw_d_512
                                                      : llvm::Intrinsic::x86_avx2_pmadd_wd;
    const size_t products = before.size();
    for (size_t i = 0; i < narrow.size(); ++i) {
      Value* factor = llvm::ConstantInt::get(shorts(), i < products ? 1 : 16);
      Value*& sum = before[i % products];
      sum = b_.ir.CreateAdd(sum, call(widen, {narrow[i], factor}));
    }
    return before;
  }

  Values float_group(Value* block, const Values& x, int spans) {
    // As many sums as hide the latency of a multiply-add.
    const size_t products = static_cast<size_t>(rows_ * parts_);
    const size_t chains = products >= 8 ? 1 : products >= 4 ? 2 : 4;
    const auto sums =
        spans_loop(block, x, spans, zeros(products * chains, floats()),
                   [&](Value* span, const Values& x_span, const VectorBuilder::Carried& before_span) {
                     return units_loop(span, x_span, before_span,
                                       [&](Value* unit, const Values& x_unit, VectorBuilder::Carried after) {
                                         float_unit(unit, x_unit, chains, after);
                                         return after;
                                       });
                   });
    Values totals;
    for (size_t i = 0; i < products; ++i) {
      Value* total = sums[i];
      for (size_t chain = 1; chain < chains; ++chain)
        total = b_.ir.CreateFAdd(total, sums[chain * products + i]);
      totals.push_back(total);
    }
    return totals;
  }

  void float_unit(Value* unit, const Values& x, size_t chains, VectorBuilder::Carried& sums) {
    const size_t products = static_cast<size_t>(rows_ * parts_);
    llvm::SmallVector<Values, 2> vectors;
    for (int part = 0; part < parts_; ++part) vectors.push_back(load_unit(unit, part));
    for (int quad = 0; quad < unit_quads_; ++quad) {
      for (int j = 0; j < 4; ++j) {
        const size_t chain = static_cast<size_t>(j) % chains;
        Values weights;
        for (const Values& each : vectors) weights.push_back(float_codes(each, quad, j));
        for (int r = 0; r < rows_; ++r) {
          Value* address = b_.offset_bytes(x[r], int64_t{quad * 4 + j} * 4);
          Value* activation = b_.broadcast(b_.ir.getFloatTy(), address, lanes_);
          for (int part = 0; part < parts_; ++part) {
            Value*& sum = sums[chain * products + static_cast<size_t>(r * parts_ + part)];
            sum = b_.fma(activation, weights[part], sum);
          }
        }
      }
    }
  }

  /// The codes of byte `j` of a unit's quad as floats.
  Value* float_codes(const Values& vectors, int quad, int j) {
    const QuadCodes parts = quad_codes(bits_, quad);
    if (parts.count == 1 && bits_ <= 4) {
      const CodePiece& piece = parts.pieces[0];
      if (Value* found = look_up(vectors[static_cast<size_t>(piece.vector)], piece.first + 8 * j))
        return found;
    }
    Value* codes = nullptr;
    for (int i = 0; i < parts.count; ++i) {
      const CodePiece& piece = parts.pieces[i];
      const int first = piece.first + 8 * j;
      Value* field = shift_right(vectors[static_cast<size_t>(piece.vector)], first - piece.weight);
      if (first + piece.width < 32 || piece.weight > 0) {
        field = mask(field, ((1u << piece.width) - 1) << piece.weight);
      }
      codes = codes == nullptr ? field : b_.ir.CreateOr(codes, field);
    }
    return b_.ir.CreateSIToFP(codes, floats());
  }

  /// Codes of few bits, from bit `first` of each lane on, as floats by a permutation of a table, whose index
  /// is the lowest bits of a lane (those above are passed over): one instruction for a mask and a conversion.
  /// Null where there is none.
  Value* look_up(Value* vector, int first) {
    int index_bits = 0;
    llvm::Intrinsic::ID id = llvm::Intrinsic::not_intrinsic;
    if (b_.target().vector_bits == 512) {
      index_bits = 4;
      id = llvm::Intrinsic::x86_avx512_permvar_sf_512;
    } else if (b_.target().vector_bits == 256 && bits_ == 2) {
      index_bits = 2;
      id = llvm::Intrinsic::x86_avx_vpermilvar_ps_256;
    } else {
      return nullptr;
    }
    llvm::SmallVector<llvm::Constant*, 16> table;
    for (int i = 0; i < lanes_; ++i) {
      const int code = i % (1 << index_bits) % (1 << bits_);
      table.push_back(llvm::ConstantFP::get(b_.ir.getFloatTy(), code));
    }
    return call(id, {llvm::ConstantVector::get(table), shift_right(vector, first)});
  }

  mutable TemplateBuilder b_;
  PanelShape shape_;
  int lanes_;
  int parts_;
  bool vnni_;
  int x_bytes_;
  int bits_;
  int unit_quads_;
  int rows_ = 0;

  Value* panel_ = nullptr;
  Value* groups_ = nullptr;
  Value* x_ = nullptr;
  Value* x_row_stride_ = nullptr;
  Value* steps_ = nullptr;
  Value* sums_ = nullptr;
  Value* groups_stride_ = nullptr;
  Value* out_ = nullptr;
  Value* out_row_stride_ = nullptr;
};

}  // namespace

int panel_shape_rows(const Target& target) {
  return target.vector_bits == 512 ? static_cast<int>(max_vector_rows) : 4;
}

std::string panel_dot_key(const PanelShape& shape) {
  return "template panel_dot bits " + std::to_string(shape.format.bits) + " group " +
         std::to_string(shape.format.group_size) + " scales " +
         std::string(dtype_name(shape.format.scale_dtype)) + (shape.int8 ? " int8" : " float") + " rows " +
         std::to_string(shape.rows) + (shape.few_lines ? " few lines" : "") + " layout " +
         std::to_string(packed_quantized_version);
}

void build_panel_dot(llvm::Module& module, const Target& target, const PanelShape& shape) {
  PanelEmitter(module, target, shape).emit();
}

}  // namespace lazuli::templates
