#pragma once

// Private to code generation: this header shows LLVM's types.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <lazuli/compiler/kernel_ir/kernel.h>
#include <lazuli/compiler/llvm/builder.h>
#include <lazuli/compiler/llvm/codegen.h>
#include <lazuli/compiler/llvm/kernel_source.h>
#include <lazuli/compiler/llvm/schedule.h>

namespace lazuli {

/// Emits one kernel into a function. The parts: loops and order (codegen.cpp), passes over rows
/// (emit_rows.cpp), tiles of columns (emit_columns.cpp), inputs that lie the other way round
/// (emit_transposed.cpp), rows of results that do not begin at lines (emit_joined.cpp), loads and stores
/// (emit_access.cpp), reductions (emit_reduction.cpp), positions of extrema (emit_positions.cpp), sums of
/// distances from a mean (emit_distances.cpp), rows that are written late (emit_late.cpp), some at a time
/// (emit_grouped.cpp) or both (emit_late_group.cpp), rows of sums (emit_sums.cpp).
class KernelEmitter {
 public:
  KernelEmitter(llvm::Function& function, const Target& target, const kir::Kernel& kernel,
                const CodegenOptions& options);

  void emit();
  /// How the kernel is walked, in a line.
  std::string describe() const;
  /// Whether the target's addressing modes do for all loops as they are: a position, scaled, from each
  /// pointer.
  bool addresses_are_simple() const;

 private:
  using Value = llvm::Value;
  using Carried = VectorBuilder::Carried;

  /// What an instruction has become: one scalar, or `unroll` vectors that lie one after the other along the
  /// vector dimension.
  struct Emitted {
    llvm::SmallVector<Value*, 4> parts;
    bool vector = false;
  };

  /// How wide code is being emitted at the moment.
  struct Width {
    int lanes = 1;
    int unroll = 1;
    const Tail* tail = nullptr;  ///< set where fewer elements than lanes are left; then `unroll` is 1
  };

  // codegen.cpp
  void load_arguments();
  void emit_outer();
  /// The odometer at this outer point.
  Carried start_odometer(Value* point);
  Carried advance_odometer(Carried state);
  void use_odometer(const Carried& state);
  void emit_point();
  void emit_vector_loop();
  /// Runs `body` with lanes and unroll set, for all of [begin, end): whole steps, then tails. The index and
  /// pointers of the vector dimension are those of the step's first element.
  Carried emit_vector_range(Value* begin, Value* end, int unroll, const Carried& initial,
                            llvm::function_ref<Carried(const Carried&)> body);
  /// Runs `body` at position `i` of dimension `dim`, with index and pointers moved there.
  Carried at_position(int dim, Value* i, llvm::function_ref<Carried()> body);
  void emit_level(const kir::Block& block, int level);
  void emit_one(kir::ValueId id);
  /// Notes for debuggers which instruction the code to come belongs to.
  void mark(kir::ValueId id) {
    if (source_) source_->at(b_.ir, id);
  }

  Value* scalar(kir::ValueId id) const;
  Value* part(kir::ValueId id, int which);
  void set_scalar(kir::ValueId id, Value* value);
  Dtype operand_type(const kir::Instruction& instruction) const;

  // emit_rows.cpp
  void emit_row_block(size_t block);
  /// One step of a pass over a row; `add_up` has its reductions take what it made.
  Carried emit_row_step(size_t block, int level, llvm::function_ref<Carried()> add_up);
  /// Asks for what passes over the next row (or so many `rows` on) will read, while this row is worked on in
  /// the caches.
  void prefetch_next_row(size_t block, int rows = 1);

  // emit_columns.cpp
  /// Vectors of one value along a tile of V, in memory on the stack.
  struct TileBuffer {
    llvm::AllocaInst* memory = nullptr;
    llvm::Type* element = nullptr;  ///< in memory
  };
  void emit_columns();
  void plan_tiles();
  void emit_column_block(size_t block, Value* begin, Value* end);
  void emit_column_body(const kir::Block& block, bool prologue);
  bool has_prologue(const kir::Block& block) const;
  void number_rows(const kir::Block& block, Value* first);
  Value* rows_follow_each_other(const kir::Block& block, int dim, Value* size);
  void start_accumulators(const kir::Block& block, Value* size);
  void prefetch_rows_ahead(const kir::Block& block);
  int buffers_of(const kir::Block& block) const;
  int work_of(const kir::Block& block) const;
  void each_accumulator(const kir::Block& block,
                        llvm::function_ref<void(const TileBuffer&, llvm::Type*, int)> visit);
  Carried load_accumulators(const kir::Block& block);
  void store_accumulators(const kir::Block& block, const Carried& carried);
  Value* tile_load(const TileBuffer& buffer, llvm::Type* type, int which);
  void tile_store(const TileBuffer& buffer, Value* value, int which);

  // emit_extrema.cpp
  /// Whether steps leave NaN lost by minima and maxima to a second form of themselves.
  bool repairs_extrema_later() const;
  void emit_level_with_late_repairs(const kir::Block& block, int level);

  // emit_ahead.cpp
  /// Finds what the loads of a row some rows further on will read, for `fetch_rows_ahead`.
  void find_rows_ahead();
  /// Asks for what stands there at the step at hand.
  void fetch_rows_ahead();
  /// Asks for what the loop over a block will read some steps further on: `target_.bytes_ahead` ahead, into
  /// the second cache, and, unless what else is in use fills the first one, once more into that.
  enum class Nearness : uint8_t { first_cache, second_cache };
  void ask_ahead(size_t block, Nearness nearness);
  /// How far ahead what is on its way from memory is asked for again: what is read and what is stored past
  /// the caches takes the same buffers on its way, the less long if it comes from the second cache.
  static constexpr int64_t bytes_ahead_from_second_cache = 2 << 10;
  static constexpr int into_first_cache = 3, into_second_cache = 2;
  /// Asks for all lines of so many bytes.
  void ask_for(Value* pointer, int64_t bytes, int cache);

  // emit_transposed.cpp
  void emit_transposed_outer();
  /// Tiles side by side, down all rows of a run.
  struct TilesAtHand {
    Value* rows = nullptr;     ///< of a run
    Value* runs = nullptr;     ///< that follow each other
    Value* run = nullptr;      ///< of those, the one at hand
    Value* column = nullptr;   ///< the first
    Value* columns = nullptr;  ///< how many
  };
  void emit_transposed_rows(Value* rows, Value* runs, int most_along, int most_tiles);
  void find_next_tiles(const std::vector<Value*>& start, const TilesAtHand& hand);
  void fetch_next_tiles(Value* row, Value* rows, int64_t columns, int64_t step);
  bool computes_tiles_in_registers() const;
  void compute_tile(Value* row, Value* column, Value* first);
  llvm::SmallVector<Value*, 64> load_transposed_vectors(size_t access, Value* row, Value* column, int tiles);
  bool transposes_in_parts(size_t access) const;
  void keep_lines(size_t access, Value* row, Value* column);
  llvm::SmallVector<Value*, 64> transpose_part(size_t access, int part);
  void load_transposed_tiles(Value* row, Value* column, int tile, int along, int tiles);

  // emit_joined.cpp
  bool joins_lines() const;
  void prepare_joined(int64_t most_rows);
  void start_joined();
  void store_joined_line(Value* place, Value* vector);
  Value* join(Value* last, Value* next, int n);
  void finish_joined(Value* rows, Value* end);

  // emit_short_rows.cpp
  /// Whether there is code for many short rows at once.
  bool takes_short_rows_together() const;
  void emit_short_rows_outer();
  void emit_short_rows();
  void fetch_short_rows();
  Value* combine_rows(kir::ValueId id, llvm::SmallVector<Value*, 16> vectors);
  /// For each reduction a vector of results, one for each row.
  using RowResults = std::map<kir::ValueId, Value*>;
  Value* row_results_are_dense(const RowResults& results);
  void store_row_results(const RowResults& results);

  // emit_access.cpp
  /// Where an access's elements lie for the step at hand: at `base`, plus `lane_stride` bytes a lane, plus
  /// what a dynamic index adds lane by lane.
  struct Place {
    Value* base = nullptr;
    Value* lane_stride = nullptr;  ///< null where lanes are contiguous or all the same
    bool contiguous = false;
    bool same = false;                          ///< one element for all lanes
    bool streaming = false;                     ///< stores go past the caches
    llvm::SmallVector<Value*, 4> lane_offsets;  ///< for each part, <lanes x i64> bytes; empty without
  };
  Place place_of(const kir::Instruction& instruction, bool vector);
  void emit_load(kir::ValueId id);
  void emit_store(const kir::Instruction& instruction);
  Value* lane_pointer(const Place& place, int part, int lane);
  Value* load_vector(const Place& place, Dtype dtype, int part, bool imaginary);
  Value* load_strided(const Place& place, llvm::Type* element, int part);
  Value* gather_lanes(const Place& place, llvm::Type* element, int part, int64_t shift);
  void store_vector(const Place& place, Dtype dtype, int part, Value* value, Value* imaginary);
  bool streams_whole_lines(int64_t bytes) const;
  bool by_parity(Dtype dtype) const;
  void store_joined(const Place& place, Dtype dtype, kir::ValueId id);
  void store_lanes(const Place& place, int part, llvm::ArrayRef<Value*> values);

  // emit_distances.cpp
  void start_distances(Carried& accumulators, int unroll);
  /// One step of the sums of distances from where they are taken for the time being; `at` is where their
  /// accumulators begin.
  void accumulate_distances(Carried& carried, size_t at, int total_unroll);
  void keep_distances(const Carried& carried, size_t at, int unroll);
  /// Puts the sums right, or goes over the row again.
  void finish_distances(llvm::function_ref<void()> go_over_again);
  Value* elements_of_lanes();

  // emit_late.cpp
  void emit_late_outer();
  void emit_after_late_pass();
  void accumulate_late(Carried& carried, size_t at, int total_unroll);
  void finish_late_sums(const Carried& carried, size_t at, int unroll);
  void emit_late_step();
  void swap_late_values();

  // emit_grouped.cpp
  /// What the last pass over a row needs of it.
  struct KeptRow {
    std::vector<Value*> pointers;
    llvm::SmallVector<Value*, 8> values;
  };
  void emit_grouped_outer();
  void plan_group();
  Value* group_place(llvm::AllocaInst* memory, Value* row);
  void keep_row(Value* row);
  KeptRow kept_row(Value* row);
  void use_kept_row(const KeptRow& row);
  void emit_group();
  void emit_row_of_group(std::vector<Emitted>& sums, int row);

  // emit_late_group.cpp
  void emit_late_groups_outer();
  void emit_late_group_step();
  /// Goes over the row kept at `place`, from `column` on.
  void write_kept_row(Value* place, Value* column);

  // emit_sums.cpp
  void start_sums();
  void put_sums_in_order();

  // emit_reduction.cpp
  Carried initial_accumulators(const kir::Block& block, int unroll);
  Carried accumulate(const kir::Block& block, const Carried& carried, int total_unroll);
  const kir::Instruction* product_to_add(const kir::Block& block, const kir::Instruction& reduction) const;
  void finish_reductions(const kir::Block& block, const Carried& carried, int unroll);
  /// Two values put together as a reduction does.
  Value* combine(kir::Opcode op, Dtype type, Value* left, Value* right);
  llvm::Constant* identity(kir::Opcode op, Dtype type, int lanes) const;
  size_t count_of_accumulators(const kir::Block& block, int unroll) const;

  // emit_positions.cpp
  static bool finds_position(kir::Opcode op);
  static bool wants_least(kir::Opcode op);
  bool finds_positions(const kir::Block& block) const;
  std::optional<kir::ValueId> position_with_extremum(const kir::Block& block, kir::ValueId id) const;
  bool is_accumulated(const kir::Block& block, kir::ValueId id) const;
  llvm::Type* position_type() const;
  /// Whether candidate beats the best so far; later positions lose ties.
  Value* beats(kir::Opcode op, Dtype type, Value* candidate, Value* best);
  void finish_position(const kir::Block& block, kir::ValueId id, llvm::ArrayRef<Value*> bests,
                       llvm::ArrayRef<Value*> positions);

  const kir::Kernel& kernel_;
  const Target& target_;
  const CodegenOptions& options_;
  const Schedule schedule_;
  VectorBuilder b_;
  std::optional<KernelSource> source_;  // where debug information is wanted

  std::vector<Value*> extents_;                       // for each dimension
  std::vector<std::vector<Value*>> strides_;          // bytes, for each access and dimension; null for zero
  std::vector<std::vector<Value*>> dynamic_strides_;  // bytes, for each access and dynamic index
  std::vector<Value*> pointers_;                      // for each access, at the current position of all loops
  std::vector<Value*> index_;                         // for each dimension, the current position
  std::vector<Emitted> values_;                       // for each instruction
  Width width_;
  // Of columns: a buffer for each value that one block makes and another uses, and for each reduction (of a
  // position, a second one for the best value so far).
  std::vector<TileBuffer> tile_buffers_;
  std::vector<TileBuffer> best_buffers_;
  std::vector<bool> crosses_blocks_;  // for each instruction: made in one pass over a tile, used in another
  int64_t tile_ = 0;                  // elements
  /// The rows along a reduce dimension that a step goes over; all of them where the count is 0.
  struct Rows {
    int dim = -1;
    int level = 0;
    int count = 1;
    /// Bytes, from a step to what it asks for; null: rows that take these ones' place.
    Value* ahead = nullptr;
    Value* shortly = nullptr;  ///< bytes, to what it asks for once more; null: nothing
    /// Of each row of a step, where positions are found: its number, in all lanes.
    llvm::SmallVector<Value*, 8> numbers = {};
    Value* position = nullptr;  ///< of these, that of the row at hand
  };
  Rows rows_;
  Value* tile_begin_ = nullptr;

  // Of transposed inputs: tiles of each on the stack, and the row of them that is being computed.
  std::vector<llvm::AllocaInst*> transposed_;
  llvm::AllocaInst* lines_ = nullptr;           // of what is transposed in parts, a tile's
  llvm::SmallVector<Value*, 64> tile_vectors_;  // of the one input, where they stay in registers
  int tile_vector_ = 0;                         // the one that is being computed with
  std::vector<Value*> next_tiles_;              // where those to come begin
  Value* next_share_ = nullptr;                 // columns of those for each row of those at hand, a fraction
  Value* tile_row_ = nullptr;

  // Of rows of results that are put together to lines: their last vectors and, for each row of a tile, how
  // these and the next make a line.
  size_t joined_access_ = 0;
  llvm::AllocaInst* joined_rows_ = nullptr;
  llvm::AllocaInst* joined_order_ = nullptr;
  Value* joined_row_ = nullptr;  // the first row of the tile that is being computed
  bool joined_first_ = false;    // whether its columns are the first

  /// Elements of a row to come.
  struct RowAhead {
    Value* base = nullptr;
    Value* stride = nullptr;  ///< bytes, along the vector dimension
    int64_t size = 0;         ///< of an element
  };
  std::vector<RowAhead> rows_ahead_;

  /// Of sums of distances: where they are taken from for the time being, a place for each lane; for each sum,
  /// what it is so far, and what it grows by as that place moves.
  Value* origin_ = nullptr;
  std::vector<Value*> so_far_, growth_;

  /// Of the row before, where its last pass is late: where its accesses lie, the values of `Schedule::Late`,
  /// and whether there is such a row.
  std::vector<Value*> late_pointers_;
  llvm::SmallVector<Value*, 8> late_values_;
  Value* has_row_before_ = nullptr;

  /// Of a group of rows, where their accesses lie and their values of `Schedule::Grouped`: a place for each.
  std::vector<llvm::AllocaInst*> group_pointers_, group_values_;

  std::vector<size_t> moving_;  // accesses whose pointers change from one outer point to the next

  /// Of the group before, where it is written late: its rows, and the column at which the pass over the row
  /// at hand begins to write them.
  std::vector<KeptRow> late_rows_;
  Value* late_column_ = nullptr;
};

}  // namespace lazuli
