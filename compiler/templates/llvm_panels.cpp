// Generated kernels on packed quantized panels (quantized_layout.h): a vector lane is a row of weights.

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

/// A part of the codes that goes through a dot product by itself: fields of `width` bits, which count
/// 2^weight.
struct Term {
  int plane_offset = 0;  ///< bytes from the start of the span
  int plane_width = 0;   ///< bits of a field of the plane
  int first_bit = 0;     ///< of the term within a field
  int width = 0;
  int weight = 0;
};

llvm::SmallVector<Term, 2> terms_of(int bits, bool split_bytes) {
  if (bits == 8 && split_bytes) return {{0, 8, 0, 4, 0}, {0, 8, 4, 4, 4}};
  const int low = main_plane(bits);
  llvm::SmallVector<Term, 2> terms = {{0, low, 0, low, 0}};
  if (low != bits) {
    terms.push_back({low * static_cast<int>(plane_vector_bytes), bits - low, 0, bits - low, low});
  }
  return terms;
}

class PanelEmitter {
 public:
  PanelEmitter(llvm::Module& module, const Target& target, const PanelShape& shape)
      : b_(module, target),
        shape_(shape),
        lanes_(target.vector_bits / 32),
        parts_(static_cast<int>(panel_lanes) / lanes_),
        vnni_(shape.int8 && target.vnni),
        x_bytes_(shape.int8 ? 1 : 4),
        terms_(terms_of(shape.format.bits, shape.int8 && !target.vnni)) {}

  void emit() {
    load_arguments();
    // More accumulators than registers would only go through memory: then the panel, which is in cache
    // by now, is passed over again.
    const int accumulators = parts_ * (shape_.int8 && !vnni_ ? static_cast<int>(terms_.size()) : 1);
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

  /// Asks for weights that are needed later, for the second-level cache: panels lie one after another.
  void fetch_ahead(Value* block, int64_t block_bytes) {
    // With little to compute the processor's own fetching keeps up, but for the beginnings of pages, where it
    // ends: a line of each is enough to start it early, and more would only take its place.
    const PanelFormat& format = shape_.format;
    const bool little = vnni_ && lanes_ == static_cast<int>(panel_lanes) && shape_.rows == 1 &&
                        main_plane(format.bits) >= 4 && second_plane(format.bits) == 0 &&
                        format.group_size >= 64;
    if (little) return b_.VectorBuilder::prefetch(b_.offset_bytes(block, 8 << 10), 2);
    for (int64_t at = 0; at < block_bytes; at += 64) {
      b_.VectorBuilder::prefetch(b_.offset_bytes(block, (16 << 10) + at), 2);
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
          fetch_ahead(block, block_bytes);
          Value* x_offset = b_.times(group, shape_.format.group_size * x_bytes_);
          Values x_group;
          for (Value* row : x) x_group.push_back(b_.offset_bytes(row, x_offset));
          const Values products = emit_group(block, x_group, spans);
          VectorBuilder::Carried after;
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

  /// Loops over steps: a step is what one vector of the main plane holds, a few quads. (Unrolling further
  /// makes code generation keep more values than there are registers.) `body` gets the span, the step in it
  /// and the activations of the step's first column.
  using Step = llvm::function_ref<VectorBuilder::Carried(Value* span, Value* step, const Values& x,
                                                         const VectorBuilder::Carried& before)>;
  VectorBuilder::Carried steps(Value* span, const Values& x, const VectorBuilder::Carried& initial,
                               Step body) {
    const int count = static_cast<int>(span_quads) / step_quads();
    return b_.loop(
        b_.i64(0), b_.i64(count), 1, initial,
        [&](Value* step, const VectorBuilder::Carried& before) {
          Values x_step;
          for (Value* row : x) x_step.push_back(b_.element(row, step, step_quads() * 4 * x_bytes_));
          return body(span, step, x_step, before);
        },
        "step");
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

  int step_quads() const { return 8 / terms_[0].plane_width; }

  /// The vector with the step's fields of a term, moved down so that those of its first quad come first. A
  /// vector of the second plane serves several steps.
  Value* step_vector(const Term& term, Value* span, Value* step, int part) {
    const int per_vector = 8 / term.plane_width;
    Value* vector_index = step;
    Value* shift = nullptr;
    if (per_vector != step_quads()) {
      const int steps_a_vector = per_vector / step_quads();
      vector_index = b_.ir.CreateUDiv(step, b_.i64(steps_a_vector));
      shift = b_.times(b_.ir.CreateURem(step, b_.i64(steps_a_vector)), term.plane_width * step_quads());
    }
    Value* address = b_.element(span, vector_index, plane_vector_bytes);
    address = b_.offset_bytes(address, term.plane_offset + int64_t{part} * lanes_ * 4);
    Value* vector = b_.load_raw(b_.ir.getInt32Ty(), address, lanes_);
    if (shift == nullptr) return vector;
    return b_.ir.CreateLShr(vector, b_.splat(b_.ir.CreateTrunc(shift, b_.ir.getInt32Ty()), lanes_));
  }
  Value* shift_right(Value* value, int bits) {
    if (bits == 0) return value;
    return b_.ir.CreateLShr(value, llvm::ConstantInt::get(value->getType(), static_cast<uint64_t>(bits)));
  }
  Value* mask(Value* value, uint32_t bits) {
    return b_.ir.CreateAnd(value, llvm::ConstantInt::get(value->getType(), bits));
  }

  /// The term's codes of the step's quad `quad` as bytes.
  Value* code_bytes(const Term& term, Value* vector, int quad) {
    Value* codes = shift_right(vector, term.plane_width * quad + term.first_bit);
    if (term.width < 8) codes = mask(codes, ((1u << term.width) - 1) * 0x01010101u);
    return codes;
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

  /// Calls `multiply(codes, row, quad, sum)` for each product of a step; sums are [term][row][part].
  VectorBuilder::Carried each_product(
      Value* span, Value* step, const VectorBuilder::Carried& before,
      llvm::function_ref<Value*(Value* codes, int row, int quad, Value* sum)> multiply) {
    VectorBuilder::Carried sums = before;
    for (size_t t = 0; t < terms_.size(); ++t) {
      Values vectors;
      for (int part = 0; part < parts_; ++part) vectors.push_back(step_vector(terms_[t], span, step, part));
      for (int quad = 0; quad < step_quads(); ++quad) {
        Values codes;
        for (Value* vector : vectors) codes.push_back(code_bytes(terms_[t], vector, quad));
        for (int r = 0; r < rows_; ++r) {
          for (int part = 0; part < parts_; ++part) {
            Value*& sum = sums[(t * static_cast<size_t>(rows_) + static_cast<size_t>(r)) * parts_ + part];
            sum = multiply(codes[part], r, quad, sum);
          }
        }
      }
    }
    return sums;
  }

  /// The codes of the step's quad `quad` as bytes, put together from their planes. `vectors` are those of
  /// `step_vector`, one for each term.
  Value* whole_codes(const Values& vectors, int quad) {
    Value* codes = code_bytes(terms_[0], vectors[0], quad);
    if (terms_.size() == 1) return codes;
    const Term& high = terms_[1];
    const int down = high.plane_width * quad - high.weight;
    Value* bits = vectors[1];
    if (down > 0) bits = shift_right(bits, down);
    if (down < 0)
      bits = b_.ir.CreateShl(bits, llvm::ConstantInt::get(bits->getType(), static_cast<uint64_t>(-down)));
    return b_.ir.CreateOr(codes, mask(bits, (((1u << high.width) - 1) << high.weight) * 0x01010101u));
  }

  /// Σ q x over a group, whole: [row][part].
  Values vnni_group(Value* block, const Values& x, int spans) {
    const auto dot = b_.target().vector_bits == 512 ? llvm::Intrinsic::x86_avx512_vpdpbusd_512
                                                    : llvm::Intrinsic::x86_avx512_vpdpbusd_256;
    const size_t products = static_cast<size_t>(rows_ * parts_);
    // As many sums as hide the latency of a dot product; the quads of a span take turns.
    const size_t chains = products >= 8 ? 1 : products >= 4 ? 2 : 4;
    const auto sums =
        spans_loop(block, x, spans, zeros(products * chains, words()),
                   [&](Value* span, const Values& x_span, VectorBuilder::Carried after) {
                     for (int quad = 0; quad < static_cast<int>(span_quads); ++quad) {
                       const int step = quad / step_quads();
                       for (int part = 0; part < parts_; ++part) {
                         Values vectors;
                         for (const Term& term : terms_)
                           vectors.push_back(step_vector(term, span, b_.i64(step), part));
                         Value* codes = whole_codes(vectors, quad % step_quads());
                         for (int r = 0; r < rows_; ++r) {
                           const size_t at = static_cast<size_t>(quad) % chains * products +
                                             static_cast<size_t>(r * parts_ + part);
                           after[at] = call(dot, {after[at], codes, activation_bytes(x_span[r], quad)});
                         }
                       }
                     }
                     return after;
                   });
    Values whole;
    for (size_t i = 0; i < products; ++i) {
      Value* sum = sums[i];
      for (size_t chain = 1; chain < chains; ++chain) {
        sum = b_.ir.CreateAdd(sum, sums[chain * products + i]);
      }
      whole.push_back(sum);
    }
    return whole;
  }

  /// Without 8-bit dot products: products of bytes are added in pairs to 16 bits. A term's codes have at most
  /// four bits, so over the 8 quads of a span a lane stays within 8 * 2 * 15 * 127 = 30480.
  Values shorts_group(Value* block, const Values& x, int spans) {
    const bool wide = b_.target().vector_bits == 512;
    const auto multiply_bytes =
        wide ? llvm::Intrinsic::x86_avx512_pmaddubs_w_512 : llvm::Intrinsic::x86_avx2_pmadd_ub_sw;
    const auto widen = wide ? llvm::Intrinsic::x86_avx512_pmaddw_d_512 : llvm::Intrinsic::x86_avx2_pmadd_wd;
    const size_t products = static_cast<size_t>(rows_ * parts_);
    const auto sums = spans_loop(
        block, x, spans, zeros(products, words()),
        [&](Value* span, const Values& x_span, const VectorBuilder::Carried& before_span) {
          const auto narrow = steps(
              span, x_span, zeros(products * terms_.size(), shorts()),
              [&](Value* at, Value* step, const Values& x_step, const VectorBuilder::Carried& before) {
                return each_product(at, step, before, [&](Value* codes, int row, int quad, Value* sum) {
                  Value* activations = b_.ir.CreateBitCast(activation_bytes(x_step[row], quad), bytes());
                  Value* pairs = call(multiply_bytes, {b_.ir.CreateBitCast(codes, bytes()), activations});
                  return b_.ir.CreateAdd(sum, pairs);
                });
              });
          VectorBuilder::Carried after = before_span;
          for (size_t i = 0; i < narrow.size(); ++i) {
            const int weight = terms_[i / products].weight;
            Value* factor = llvm::ConstantInt::get(shorts(), uint64_t{1} << weight);
            Value*& sum = after[i % products];
            sum = b_.ir.CreateAdd(sum, call(widen, {narrow[i], factor}));
          }
          return after;
        });
    return Values(sums.begin(), sums.end());
  }

  Values float_group(Value* block, const Values& x, int spans) {
    // As many sums as hide the latency of a multiply-add.
    const size_t products = static_cast<size_t>(rows_ * parts_);
    const size_t chains = products >= 8 ? 1 : products >= 4 ? 2 : 4;
    const auto sums = spans_loop(
        block, x, spans, zeros(products * chains, floats()),
        [&](Value* span, const Values& x_span, const VectorBuilder::Carried& before_span) {
          return steps(span, x_span, before_span,
                       [&](Value* at, Value* step, const Values& x_step, VectorBuilder::Carried after) {
                         float_step(at, step, x_step, chains, after);
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

  void float_step(Value* span, Value* step, const Values& x, size_t chains, VectorBuilder::Carried& sums) {
    const size_t products = static_cast<size_t>(rows_ * parts_);
    llvm::SmallVector<Values, 2> vectors;
    for (const Term& term : terms_) {
      Values parts;
      for (int part = 0; part < parts_; ++part) parts.push_back(step_vector(term, span, step, part));
      vectors.push_back(parts);
    }
    for (int quad = 0; quad < step_quads(); ++quad) {
      for (int j = 0; j < 4; ++j) {
        const size_t chain = static_cast<size_t>(j) % chains;
        Values weights;
        for (int part = 0; part < parts_; ++part) weights.push_back(float_codes(vectors, quad, j, part));
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

  /// The codes of byte `j` of the step's quad `quad` as floats.
  Value* float_codes(const llvm::SmallVector<Values, 2>& vectors, int quad, int j, int part) {
    if (terms_.size() == 1 && terms_[0].width <= 4) {
      if (Value* looked_up = look_up(vectors[0][part], quad, j)) return looked_up;
    }
    Value* codes = nullptr;
    for (size_t t = 0; t < terms_.size(); ++t) {
      const Term& term = terms_[t];
      const int first = term.plane_width * quad + term.first_bit + 8 * j;
      Value* field = shift_right(vectors[t][part], first);
      if (first + term.width < 32) field = mask(field, (1u << term.width) - 1);
      if (term.weight > 0) {
        field = b_.ir.CreateShl(field,
                                llvm::ConstantInt::get(field->getType(), static_cast<uint64_t>(term.weight)));
      }
      codes = codes == nullptr ? field : b_.ir.CreateOr(codes, field);
    }
    return b_.ir.CreateSIToFP(codes, floats());
  }

  /// Codes of few bits as floats by a permutation of a table, whose index is the lowest bits of a lane (those
  /// above are passed over): one instruction for a mask and a conversion. Null where there is none.
  Value* look_up(Value* vector, int quad, int j) {
    const Term& term = terms_[0];
    int index_bits = 0;
    llvm::Intrinsic::ID id = llvm::Intrinsic::not_intrinsic;
    if (b_.target().vector_bits == 512) {
      index_bits = 4;
      id = llvm::Intrinsic::x86_avx512_permvar_sf_512;
    } else if (b_.target().vector_bits == 256 && term.width == 2) {
      index_bits = 2;
      id = llvm::Intrinsic::x86_avx_vpermilvar_ps_256;
    } else {
      return nullptr;
    }
    llvm::SmallVector<llvm::Constant*, 16> table;
    for (int i = 0; i < lanes_; ++i) {
      const int code = i % (1 << index_bits) % (1 << term.width);
      table.push_back(llvm::ConstantFP::get(b_.ir.getFloatTy(), code));
    }
    return call(id, {llvm::ConstantVector::get(table), shift_right(vector, term.plane_width * quad + 8 * j)});
  }

  mutable TemplateBuilder b_;
  PanelShape shape_;
  int lanes_;
  int parts_;
  bool vnni_;
  int x_bytes_;
  llvm::SmallVector<Term, 2> terms_;
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
         std::to_string(shape.rows) + " layout " + std::to_string(packed_quantized_version);
}

void build_panel_dot(llvm::Module& module, const Target& target, const PanelShape& shape) {
  PanelEmitter(module, target, shape).emit();
}

}  // namespace lazuli::templates
