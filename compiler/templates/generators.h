#pragma once

#include <cstdint>
#include <string>

#include <lazuli/compiler/llvm/target.h>
#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/tap_tile.h>

namespace llvm {
class Module;
}

/// What LLVM can generate. Each kernel is a function `void kernel(const Arguments*)` named
/// `generated_symbol`; a shape says everything that decides its code but for the target.
namespace lazuli::templates {

inline constexpr const char* generated_symbol = "kernel";

/// Whether kernels for this target are worth generating: it has fused multiply-add and vectors as wide as
/// those of the portable kernels.
bool generates_for(const Target& target);

/// How the left operand of a tile lies; the right one's columns are always beside each other.
enum class GemmForm : uint8_t {
  strided,
  depths,        ///< depths follow each other: a_k_stride is 1
  depths_ahead,  ///< the same, and the rows at `ahead` are fetched
  rows,          ///< rows are beside each other: a_row_stride is 1
  panels,        ///< both operands lie in panels: a_row_stride is 1 and a_k_stride the most rows
};
inline constexpr int gemm_forms = 5;

/// A GEMM tile for each number of rows up to the most.
struct GemmShape {
  Dtype operands = float32;  ///< float32, float64 or, in pairs of depths, bfloat16
  GemmForm form = GemmForm::strided;
  bool wide = false;
};
/// A tile that fills the target's registers. Wide ones have more columns and fewer rows: they load less for
/// the same work, while b, which the next tile reads again, had better be in the nearest caches.
struct TileSize {
  int rows = 0;
  int column_vectors = 0;
  int lanes = 0;
  int columns() const { return column_vectors * lanes; }
};
TileSize tile_size(const Target& target, Dtype operands, bool wide = false);
std::string gemm_key(const GemmShape& shape);
void build_gemm(llvm::Module& module, const Target& target, const GemmShape& shape);

/// A tile of a convolution for each number of rows up to the most, whose taps share what they load: see
/// `TapTile`. Sums and the weights of all taps at a depth are in registers.
struct TapShape {
  Dtype operands = float32;  ///< float32 or float64
  TapForm form;
};
/// Whether the target has registers enough for more to be gained than is lost by fewer rows, and taps have
/// something to share.
bool generates_tap_tile(const Target& target, const TapForm& form);
TileSize tap_tile_size(const Target& target, const TapShape& shape);
std::string tap_tile_key(const TapShape& shape);
void build_tap_tile(llvm::Module& module, const Target& target, const TapShape& shape);

/// Dot products or sums of rows, for one number of rows of x and one storage of the weights.
struct RowsShape {
  Dtype weights = float32;  ///< float64 computes in double, others in float
  int x_rows = 1;
  bool ahead = false;  ///< fetches what is needed next, and has its own rows in cache
  bool pairs = false;  ///< of bfloat16: `dot_pairs`, whose weights are float32 by size, and `axpy_pairs`
};
std::string dot_rows_key(const RowsShape& shape);
void build_dot_rows(llvm::Module& module, const Target& target, const RowsShape& shape);
std::string axpy_rows_key(const RowsShape& shape);
void build_axpy_rows(llvm::Module& module, const Target& target, const RowsShape& shape);

/// A panel of packed quantized rows against so many rows of activations.
struct PanelShape {
  PanelFormat format;
  bool int8 = false;
  int rows = 1;
  bool few_lines = false;  ///< see PanelDot
};
/// The most rows that the target's registers have room for.
int panel_shape_rows(const Target& target);
std::string panel_dot_key(const PanelShape& shape);
void build_panel_dot(llvm::Module& module, const Target& target, const PanelShape& shape);

}  // namespace lazuli::templates
