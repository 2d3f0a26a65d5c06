// Arrays and laziness: operations build a graph, and nothing is computed until a value is asked for.
#include <iostream>

#include <lazuli/lazuli.h>

using namespace lazuli;

int main() {
  array a = reshape(arange(6, float32), {2, 3});
  array b({1.0f, 10.0f, 100.0f});

  // Only a description so far: `b` is broadcast along a's rows, `c` has a shape and a dtype, but no data.
  array c = sum(a * b, 1);
  std::cout << "shape " << c.shape() << ", dtype " << c.dtype() << ", computed: " << c.is_available() << "\n";

  // Printing asks for the value. Product and sum run as one kernel.
  std::cout << "c = " << c << "\n";
  std::cout << "computed: " << c.is_available() << "\n";

  // Views share memory with what they look at.
  array columns = transpose(a);
  std::cout << "transposed:\n"
            << columns << "\nits last row: " << slice(columns, Shape{2, 0}, Shape{3, 2}) << "\n";

  // `eval` computes several results in one go; `data` then reads their memory.
  array mean_of_rows = mean(a, 1, false);
  array softmax_of_rows = softmax(a, 1);
  eval(mean_of_rows, softmax_of_rows);
  std::cout << "means: " << mean_of_rows.data<float>()[0] << ", " << mean_of_rows.data<float>()[1] << "\n";

  // Mixed dtypes meet in the one that holds both.
  std::cout << "int32 + bfloat16 is " << (array(1) + array(0.5f, bfloat16)).dtype() << "\n";
  std::cout << "all of softmax: " << sum(softmax_of_rows).item<float>() << "\n";
}
