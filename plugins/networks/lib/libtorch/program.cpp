#include <libtorch/program.h>

#include <ATen/Parallel.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/runtime/interpreter.h>

#include <string_view>
#include <utility>

namespace graft::libtorch {

Program::Program(const torch::jit::Module& module) : self_(module._ivalue()) {
  auto graph = module.get_method("forward").graph()->copy();
  torch::jit::Inline(*graph);
  code_ = torch::jit::Code(graph, "forward");
}

c10::IValue Program::run(const at::Tensor& input) const {
  torch::jit::Stack stack{self_, input};
  torch::jit::InterpreterState(code_).run(stack);
  return std::move(stack.front());
}

std::string reason(const std::exception& fault) {
  const auto* error = dynamic_cast<const c10::Error*>(&fault);
  std::string_view text = error != nullptr ? error->what_without_backtrace() : fault.what();
  // The interpreter puts the TorchScript traceback first and the kernel's own words after "RuntimeError: ".
  for (const std::string_view marker : {"RuntimeError: ", "Error: "})
    if (const auto at = text.rfind(marker); at != std::string_view::npos) {
      text.remove_prefix(at + marker.size());
      break;
    }
  while (!text.empty() && (text.front() == '\n' || text.front() == ' ')) text.remove_prefix(1);
  return std::string(text.substr(0, text.find('\n')));
}

void use_threads(int threads) {
  thread_local int set = 0;
  if (set != threads) at::set_num_threads(threads);
  set = threads;
}

}  // namespace graft::libtorch
