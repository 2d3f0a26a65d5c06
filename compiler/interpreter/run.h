#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <lazuli/compiler/interpreter/plan.h>
#include <lazuli/compiler/interpreter/space.h>

namespace lazuli::interpreter {

/// One call of an interpreted kernel.
class Run {
 public:
  Run(const Plan& plan, const kir::KernelArguments& arguments, std::byte* scratch, int64_t outer_begin,
      int64_t outer_end, int64_t inner_begin, int64_t inner_end);

  void execute();

 private:
  /// A space with what moves in it.
  struct Field {
    Space space;
    std::span<StreamState> states;
    const std::vector<Stream>* streams = nullptr;
  };

  void set_extents();
  void set_field(Field& field, const std::vector<Stream>& streams, bool with_reduce_dims);
  StreamState state_of(const Stream& stream) const;
  int64_t stride_of(size_t access, size_t dim) const;

  void execute_uniform();
  void execute_elementwise();
  void execute_rows();
  void execute_columns();

  void begin_block(const PlanBlock& block, const Chunk& points, int64_t copies);
  void end_block(const PlanBlock& block, int64_t points);
  void execute_steps(const std::vector<Step>& steps, const Field& field, const Chunk& chunk);
  void compute(const Step& step, int64_t n) const;
  void transfer(const Step& step, const Field& field, const Chunk& chunk) const;
  void reduce(const Step& step, int64_t n) const;
  void expand(const Expansion& expansion, int64_t points, int64_t copies) const;
  bool is_private(const Stream& stream) const;

  const Plan& plan_;
  const kir::KernelArguments& arguments_;
  std::byte* scratch_;
  int64_t outer_begin_, outer_end_, inner_begin_, inner_end_;

  std::byte* arena_ = nullptr;
  std::byte* sources_[4] = {};  ///< by `Source`
  Field elements_;
  Field points_;
  int64_t reduced_ = 1;  ///< points along all reduce dimensions
  int64_t width_ = 1;    ///< points run along the vector dimension
  int64_t group_ = 1;    ///< rows or columns a group
  bool expanded_move_ = false;
  bool private_scratch_ = false;

  // What the block under way is about.
  const PlanBlock* block_ = nullptr;
  int64_t group_points_ = 1;
  int64_t position_ = 0;  ///< along the flattened reduce dimensions
};

}  // namespace lazuli::interpreter
