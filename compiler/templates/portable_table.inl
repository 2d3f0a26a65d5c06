// The table of the portable kernels. See portable_vectors.inl for how this is compiled.

Kernels make_table(const char* name) {
  Kernels table;
  table.name = name;
  table.gemm_float = {tile_rows, 2 * 8, gemm_tile<float, tile_rows, static_cast<int>(16 / float_lanes)>};
  table.gemm_double = {tile_rows, 8, gemm_tile<double, tile_rows, static_cast<int>(8 / double_lanes)>};
  table.wide_gemm_float = table.gemm_float;
  table.wide_gemm_double = table.gemm_double;
  table.dot_rows = {dot_rows<Float32Storage, float>, dot_rows<Float16Storage, float>,
                    dot_rows<BFloat16Storage, float>};
  table.dot_rows_double = dot_rows<Float64Storage, double>;
  table.axpy_rows = {axpy_rows<Float32Storage, float>, axpy_rows<Float16Storage, float>,
                     axpy_rows<BFloat16Storage, float>};
  table.axpy_rows_double = axpy_rows<Float64Storage, double>;
  table.widen = {widen<Float32Storage>, widen<Float16Storage>, widen<BFloat16Storage>};
  table.narrow = {narrow<Float32Storage>, narrow<Float16Storage>, narrow<BFloat16Storage>};
  table.copy_lanes = copy_lanes;
  table.interleave = interleave;
  table.transpose = transpose;
  table.sum_tap_products = sum_tap_products;
  table.add_tap_products = add_tap_products;
  table.fft_stage = fft_stage;
  table.fft_from_rows = fft_from_rows;
  table.fft_to_rows = fft_to_rows;
  table.fft_from_columns = fft_from_columns;
  table.fft_to_columns = fft_to_columns;
  table.fft_turn = fft_turn;
  table.fft_put_together = fft_put_together;
  table.fft_take_apart = fft_take_apart;
  table.panel_dot_float = find_panel_dot<float>;
  table.panel_dot_int8 = find_panel_dot<int8_t>;
  table.panel_rows = portable_panel_rows;
  table.panel_dequantize = panel_dequantize;
  table.dequantize = dequantize;
  table.widen_e2m1 = widen_e2m1;
  table.widen_e4m3 = widen_e4m3;
  table.widen_e8m0 = widen_e8m0;
  table.quantize_group = quantize_group;
  table.sum_of = sum_of;
  table.max_of = max_of;
  table.exp_sum = exp_sum;
  table.exp_sum_bfloat16 = exp_sum_bfloat16;
  table.soft_cap = soft_cap;
  table.scale = scale;
  return table;
}
