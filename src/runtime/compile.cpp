#include "burin/compile.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "burin/error.h"
#include "codegen/lower_to_vcode.h"
#include "dataflow/dataflow.h"
#include "graph/axes.h"
#include "linear/analysis.h"
#include "linear/lower.h"
#include "linear/passes/passes.h"
#include "linear/scratch_checker.h"
#include "runtime/kernel.h"

namespace burin {
namespace {

using DumpFunction = std::function<void(std::string_view, const std::string&)>;

/// The folder that BURIN_DUMP names receives one file for each form.
DumpFunction dump_from_environment() {
  const char* folder = std::getenv("BURIN_DUMP");
  if (folder == nullptr || *folder == '\0') return nullptr;
  return [folder = std::filesystem::path(folder)](std::string_view stage, const std::string& text) {
    std::error_code failure;
    std::filesystem::create_directories(folder, failure);
    std::ofstream file(folder / fmt::format("{}.txt", stage));
    // A dump that fails is no reason to refuse a subgraph.
    if (!(file << text)) fmt::print(stderr, "BURIN_DUMP: '{}.txt' cannot be written\n", (folder / stage).string());
  };
}

/// The name of a subgraph as (a part of) a file's name: exporters put slashes into names.
std::string file_name(std::string name) {
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
}

SoftmaxForm softmax_form_from_string(const std::string& word) {
  if (word == "score_rows") return SoftmaxForm::score_rows;
  if (word == "online") return SoftmaxForm::online;
  throw Error(fmt::format("softmax form '{}': expected score_rows or online", word));
}

class Compiler {
 public:
  Compiler(const Graph& body, const CompileOptions& options) : body_(body), options_(options) {
    target_ = options.isa.empty() ? host_target() : target_for(isa_from_string(options.isa));
    if (target_.isa == Isa::none) throw Error("this CPU has no AVX2: no kernel can be compiled");
    if (target_.isa > host_target().isa)
      throw Error(fmt::format("instruction set {}: this machine offers {}", to_string(target_.isa), to_string(host_target().isa)));
    const DumpFunction dump = options.dump ? options.dump : dump_from_environment();
    pass_options_.disabled = options.disabled_passes;
    pass_options_.limit = options.pass_limit;
    pass_options_.verify = options.verify;
    if (dump)
      pass_options_.dump = [dump, name = file_name(body.name)](std::string_view stage, const std::string& text) {
        dump(fmt::format("{}.{}", name, stage), text);
      };
  }

  std::shared_ptr<const runtime::Kernel> run() {
    report_timings(dataflow_pipeline().run(body_, pass_options_));
    const AxisMap axes = analyze_axes(body_);
    ScheduleOptions overrides;
    overrides.brgemm_executor = executor() != nullptr;
    if (!options_.softmax_form.empty()) overrides.softmax_form = softmax_form_from_string(options_.softmax_form);
    const Schedule schedule = choose_schedule(body_, axes, target_, overrides);
    linear::LinearIR ir = linear::lower(body_, axes, schedule, target_);
    dump("linear.00.lower", [&] { return linear::print(ir); });
    report_timings(linear::linear_pipeline(schedule).run(ir, pass_options_));
    if (options_.verify) linear::verify_registers(ir), linear::check_scratch(ir);
    kernel_->name = body_.name;
    kernel_->schedule = schedule.describe(axes);
    std::vector<linear::SplitPhase> steps;
    if (schedule.brgemm_executor) steps = linear::split_at_products(ir);
    emit(ir);
    if (schedule.brgemm_executor) join_steps(ir, steps);
    declare_ports(ir);
    return kernel_;
  }

 private:
  /// BURIN_VERBOSE: one line a pass, to the error stream.
  void report_timings(const std::vector<PassTiming>& timings) const {
    static const bool verbose = std::getenv("BURIN_VERBOSE") != nullptr;
    if (!verbose) return;
    for (const PassTiming& t : timings)
      fmt::print(stderr, "{}: {:<28} {:8.1f} us{}\n", body_.name, t.name, t.microseconds, t.changed ? "" : "  (no change)");
  }

  template <typename F>
  void dump(std::string_view stage, F&& text) const {
    if (pass_options_.dump) pass_options_.dump(stage, text());
  }

  void emit(linear::LinearIR& ir) {
    kernel_->tape = Tape(ir.symbols);
    const auto phases = codegen::lower_to_vcode(ir, target_, kernel_->tape);
    for (std::size_t i = 0; i < phases.size(); ++i) {
      const std::string stage = fmt::format("code.{:02}", i);
      dump(stage + ".vcode", [&] { return codegen::print(phases[i].program); });
      const codegen::Allocation allocation = codegen::allocate_registers(phases[i].program, target_);
      dump(stage + ".allocated", [&] { return codegen::print(allocation.program); });
      if (options_.verify) codegen::check_allocation(phases[i].program, allocation, target_);
      auto code = codegen::assemble(allocation, target_, fmt::format("{}.{}", body_.name, i));
      kernel_->code_bytes += code->size();
      kernel_->phases.push_back({std::move(code), kernel_->tape.add(phases[i].work), nullptr});
    }
    kernel_->constants = std::move(ir.constants);
    kernel_->worker_bytes = linear::worker_scratch_bytes(ir);
    kernel_->worker_bytes_slot = kernel_->tape.add(kernel_->worker_bytes);
  }

  /// Null: Burin's own code computes products.
  runtime::BrgemmExecutor* executor() const {
    return options_.brgemm.empty() || options_.brgemm == "burin" ? nullptr : &runtime::brgemm_executor(options_.brgemm);
  }

  /// The phases that the products were taken out of become phases again.
  void join_steps(const linear::LinearIR& ir, const std::vector<linear::SplitPhase>& all) {
    std::vector<std::unique_ptr<codegen::MachineCode>> codes;
    for (runtime::Kernel::Phase& phase : kernel_->phases) codes.push_back(std::move(phase.code));
    std::vector<runtime::Kernel::Phase> joined;
    for (const linear::SplitPhase& steps : all) {
      const auto has_code = [](const linear::SplitPhase::Step& s) { return s.code.has_value(); };
      const auto code = std::find_if(steps.steps.begin(), steps.steps.end(), has_code);
      if (code == steps.steps.end()) throw Error("a phase that stores nothing");
      joined.push_back({nullptr, kernel_->phases[*code->code].work,
                        std::make_unique<const runtime::ItemSteps>(ir, steps, codes, *executor())});
    }
    kernel_->phases = std::move(joined);
  }

  void declare_ports(const linear::LinearIR& ir) {
    runtime::ShapeBinding binding(body_.name, ir.symbols);
    for (const linear::Port& port : ir.inputs) binding.add_input(port.name, port.shape, port.strides);
    for (const Facts::Check& fact : ir.facts.checks()) binding.add_fact(fact);
    kernel_->explicit_symbols = binding.explicit_symbols();
    kernel_->binding = std::move(binding);
    for (const linear::Port& port : ir.outputs) {
      runtime::Kernel::Output output{port.name, {}};
      for (const Expr& e : port.shape) output.dimensions.push_back(kernel_->tape.add(e));
      kernel_->outputs.push_back(std::move(output));
    }
  }

  Graph body_;
  CompileOptions options_;
  TargetInfo target_;
  PassOptions pass_options_;
  std::shared_ptr<runtime::Kernel> kernel_ = std::make_shared<runtime::Kernel>();
};

}  // namespace

CompiledSubgraph compile(const Graph& body, const CompileOptions& options) {
  try {
    return CompiledSubgraph(Compiler(body, options).run());
  } catch (const Error& e) {
    throw Error(fmt::format("subgraph '{}': {}", body.name, e.what()));
  }
}

const std::vector<std::string>& CompiledSubgraph::explicit_symbols() const { return kernel_->explicit_symbols; }
const std::vector<std::pair<std::string, std::string>>& CompiledSubgraph::schedule() const { return kernel_->schedule; }
std::size_t CompiledSubgraph::code_bytes() const { return kernel_->code_bytes; }
Expr CompiledSubgraph::scratch_bytes() const { return kernel_->worker_bytes; }

CodegenStatistics codegen_statistics() {
  const codegen::CodegenCounters c = codegen::codegen_counters();
  return {c.events, c.bytes};
}

}  // namespace burin
