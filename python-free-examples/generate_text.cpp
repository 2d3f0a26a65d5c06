// Text generation with streaming: load a model's folder, encode a prompt, print text as it comes.
//
//   example_generate_text models/bard-8m-4bit "To be, or not to be"
#include <exception>
#include <iostream>
#include <string>

#include <lazuli/lazuli.h>
#include <lazuli/lm/generate/generate.h>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: " << argv[0] << " MODEL-FOLDER PROMPT\n";
    return 2;
  }
  try {
    const std::string folder = argv[1];
    const std::string prompt = argv[2];
    const auto tokenizer = lazuli::lm::Tokenizer::from_directory(folder);
    const auto model = lazuli::lm::CausalModel::from_directory(folder);

    lazuli::lm::GenerationOptions options;
    options.max_tokens = 100;
    options.sampling = {.temperature = 0.8f, .top_p = 0.95f, .seed = 7};
    options.stop = {"\n\n\n"};

    std::cout << prompt << std::flush;
    const auto result =
        lazuli::lm::generate(model, tokenizer, tokenizer.encode(prompt), options,
                             [](std::string_view piece) { std::cout << piece << std::flush; });
    std::cout << "\n\n"
              << result.statistics.generation_tokens << " tokens, "
              << result.statistics.generation_tokens_per_second() << " tokens/s\n";
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
}
