#include "burin/compile.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>

#include "burin/error.h"
#include "codegen/lower_to_vcode.h"
#include "dataflow/dataflow.h"
#include "graph/axes.h"
#include "linear/analysis.h"
#include "linear/integer_sums.h"
#include "linear/lower.h"
#include "linear/passes/passes.h"
#include "linear/scratch_checker.h"
#include "linear/skipped_outputs.h"
#include "runtime/kernel.h"
#include "schedule/body_queries.h"

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
    if (options.cache_bytes) target_.l2_bytes = target_.l3_bytes = *options.cache_bytes;
    const DumpFunction dump = options.dump ? options.dump : dump_from_environment();
    pass_options_.disabled = options.disabled_passes;
    pass_options_.limit = options.pass_limit;
    pass_options_.verify = options.verify;
    if (dump)
      dump_ = [dump, name = file_name(body.name)](std::string_view stage, const std::string& text) {
        dump(fmt::format("{}.{}", name, stage), text);
      };
    pass_options_.dump = dump_;
  }

  std::shared_ptr<const runtime::Kernel> run() {
    kernel_->flush_denormals = multiplies_or_normalizes();
    report_timings(dataflow_pipeline().run(body_, pass_options_));
    const AxisMap axes = analyze_axes(body_);
    ScheduleOptions overrides;
    overrides.brgemm_executor = executor() != nullptr;
    if (!options_.softmax_form.empty()) overrides.softmax_form = softmax_form_from_string(options_.softmax_form);
    overrides.pack_reads = options_.pack_reads;
    overrides.few_queries = options_.few_queries;
    Schedule schedule = choose_schedule(body_, axes, target_, overrides);
    const Expr few_queries = schedule.few_queries_when;
    if (few_queries == Expr(1)) schedule = schedule_few_queries(body_, axes, target_, schedule);
    kernel_->name = body_.name;
    kernel_->schedule = schedule.describe(axes);
    linear::LinearIR ir = linear::lower(body_, axes, schedule, target_);
    declare_ports(ir);
    declare_limits(axes);
    run_passes(ir, schedule);
    emit(ir, schedule);
    if (!(schedule.online_when == Expr(0))) add_online(axes, schedule);
    std::size_t usual = 0;
    if (!(schedule.stream_when == Expr(0))) usual = add_streaming(axes, schedule.stream_when, overrides, usual, "stream");
    if (!(schedule.delay_when == Expr(0))) add_delayed(axes, schedule.delay_when, overrides, usual);
    if (!(schedule.rows_when == Expr(0))) add_rows(axes, schedule.rows_when, overrides);
    if (!(schedule.packed_when == Expr(0))) add_packed(axes, schedule.packed_when, overrides);
    if (!(schedule.side_by_side_when == Expr(0))) add_side_by_side(axes, schedule.side_by_side_when, overrides);
    if (!(schedule.staggered_when == Expr(0))) add_staggered(axes, schedule.staggered_when, overrides);
    if (!(schedule.few_queries_when == Expr(0)))
      add_alternative(axes, schedule_few_queries(body_, axes, target_, schedule), few_queries, "few_queries");
    kernel_->choice_slot = kernel_->tape.add(kernel_->choice);
    kernel_->even_slot = kernel_->tape.add(schedule.even_when);
    return kernel_;
  }

 private:
  /// Probabilities, and what they are multiplied with, may be denormal in numbers; nobody tells them from 0.
  bool multiplies_or_normalizes() const {
    return std::ranges::any_of(body_.order(), [&](NodeId id) {
      const OpKind op = body_.node(id).op;
      return is_product(op) || op == OpKind::Softmax;
    });
  }

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

  /// The passes in order.
  void run_passes(linear::LinearIR& ir, const Schedule& schedule) {
    dump("linear.00.lower", [&] { return linear::print(ir); });
    const std::vector<PassTiming> timings = linear::linear_pipeline(schedule).run(ir, pass_options_);
    report_timings(timings);
    has_changed_.clear();
    for (const PassTiming& t : timings)
      if (t.changed) has_changed_.insert(t.name);
    if (options_.verify) linear::verify_registers(ir), linear::check_scratch(ir);
  }

  /// The online softmax as a second variant, for those shapes that the schedule names.
  void add_online(const AxisMap& axes, Schedule schedule) {
    const Expr when = schedule.online_when;
    schedule.softmax_form = SoftmaxForm::online;
    add_alternative(axes, schedule, when, "online", "rewrite_online_softmax");
  }

  /// The same as the usual variant past the caches, if that pass can make it. Gives the one that runs if outputs are not
  /// aligned: the usual one, or, where that has other sums, one more, which no shape chooses.
  std::size_t add_streaming(const AxisMap& axes, const Expr& when, ScheduleOptions overrides, std::size_t usual, const std::string& name,
                            const std::string& pass = "stream_outputs") {
    overrides.stream = true;
    Schedule schedule = choose_schedule(body_, axes, target_, overrides);
    if (!add_alternative(axes, schedule, when, name, pass)) return usual;
    const std::size_t added = kernel_->variants.size() - 1;
    if (changed_[added].contains("join_moments") != changed_[usual].contains("join_moments")) {
      schedule.stream = false;
      usual = kernel_->variants.size();
      add_alternative(axes, schedule, 0, name + ".unaligned");
    }
    kernel_->variants[added].unaligned = usual;
    make_room_for(kernel_->variants[usual], kernel_->variants[added]);
    return usual;
  }

  /// The same with stores of panels that go along with the next panel.
  void add_delayed(const AxisMap& axes, const Expr& when, ScheduleOptions overrides, std::size_t usual) {
    overrides.delay_stores = true;
    add_streaming(axes, when, overrides, usual, "delayed", "delay_stores");
  }

  /// Rows in the lanes, for those shapes that the schedule names.
  void add_rows(const AxisMap& axes, const Expr& when, ScheduleOptions overrides) {
    overrides.rows = RowForm::in_lanes;
    add_alternative(axes, choose_schedule(body_, axes, target_, overrides), when, "rows");
  }

  /// Several rows in a vector, where the group's can be, for those shapes that the schedule names.
  void add_packed(const AxisMap& axes, const Expr& when, ScheduleOptions overrides) {
    overrides.rows = RowForm::packed;
    add_alternative(axes, choose_schedule(body_, axes, target_, overrides), when, "packed", "pack_rows");
  }

  /// Rows of one vector, several folded at once, for those shapes that the schedule names. The first variant, which runs if
  /// outputs are not aligned, has the same sums, but what it contracts may be in different loops here.
  void add_side_by_side(const AxisMap& axes, const Expr& when, ScheduleOptions overrides) {
    constexpr std::size_t kFirst = 0;
    if (changed_[kFirst].contains("contract_multiply_add")) return;
    overrides.rows = RowForm::side_by_side;
    add_streaming(axes, when, overrides, kFirst, "side_by_side");
  }

  /// Staggered rows, where the group's can be, for those shapes that the schedule names.
  void add_staggered(const AxisMap& axes, const Expr& when, ScheduleOptions overrides) {
    overrides.rows = RowForm::staggered;
    const Schedule schedule = choose_schedule(body_, axes, target_, overrides);
    if (!add_alternative(axes, schedule, when, "staggered", "stagger_rows")) return;
    if (!(schedule.stream_when == Expr(0))) add_streaming(axes, when * schedule.stream_when, overrides, kernel_->variants.size() - 1, "staggered.stream");
  }

  /// One more variant, where this pass, if any is named, can make one; says whether.
  bool add_alternative(const AxisMap& axes, const Schedule& schedule, const Expr& when, const std::string& name,
                       const std::string& pass = "") {
    linear::LinearIR ir = linear::lower(body_, axes, schedule, target_);
    if (dump_)
      pass_options_.dump = [this, name](std::string_view stage, const std::string& text) { dump_(fmt::format("{}.{}", name, stage), text); };
    run_passes(ir, schedule);
    if (!pass.empty() && !has_changed_.contains(pass)) return false;
    emit(ir, schedule);
    kernel_->choice = select(when, static_cast<std::int64_t>(kernel_->variants.size()) - 1, kernel_->choice);
    return true;
  }

  /// Where one variant may run instead of the other, scratch is enough for both.
  void make_room_for(const runtime::Kernel::Variant& usual, runtime::Kernel::Variant& added) {
    added.worker_bytes = max(added.worker_bytes, usual.worker_bytes);
    added.call_bytes = max(added.call_bytes, usual.call_bytes);
    added.worker_bytes_slot = kernel_->tape.add(added.worker_bytes);
    added.call_bytes_slot = kernel_->tape.add(added.call_bytes);
  }

  /// One more variant.
  void emit(linear::LinearIR& ir, const Schedule& schedule) {
    runtime::Kernel::Variant variant;
    std::vector<linear::SplitPhase> steps;
    if (schedule.brgemm_executor) steps = linear::split_at_products(ir);
    auto phases = codegen::lower_to_vcode(ir, target_, kernel_->tape, pass_options_.dump != nullptr);
    for (std::size_t i = 0; i < phases.size(); ++i) {
      const std::string stage = fmt::format("code.{:02}", i);
      dump(stage + ".vcode", [&] { return codegen::print(phases[i].program); });
      const std::optional<codegen::Program> original = options_.verify ? std::optional(phases[i].program) : std::nullopt;
      const codegen::Allocation allocation = codegen::allocate_registers(std::move(phases[i].program), target_);
      dump(stage + ".allocated", [&] { return codegen::print(allocation.program); });
      if (original) codegen::check_allocation(*original, allocation, target_);
      auto code = codegen::assemble(allocation, target_, fmt::format("{}.{}.{}", body_.name, kernel_->variants.size(), i));
      dump(stage + ".annotated", [&] { return codegen::annotate(allocation, *code, target_); });
      kernel_->code_bytes += code->size();
      variant.phases.push_back({std::move(code), phases[i].rounds.size(), kernel_->tape.add(phases[i].items), nullptr});
    }
    if (schedule.brgemm_executor) variant.phases = joined(std::move(variant.phases), ir, steps);
    for (const codegen::PhaseCode::Round& r : phases.back().rounds)  // the last phase has all rounds
      variant.rounds.push_back({kernel_->tape.add(r.units), kernel_->tape.add(r.size)});
    variant.constants = std::move(ir.constants);
    variant.worker_bytes = ir.resolve(linear::scratch_bytes(ir, linear::Memory::Kind::worker));
    variant.call_bytes = ir.resolve(linear::scratch_bytes(ir, linear::Memory::Kind::call));
    variant.worker_bytes_slot = kernel_->tape.add(variant.worker_bytes);
    variant.call_bytes_slot = kernel_->tape.add(variant.call_bytes);
    kernel_->variants.push_back(std::move(variant));
    changed_.push_back(has_changed_);
  }

  /// Null: Burin's own code computes products.
  runtime::BrgemmExecutor* executor() const {
    return options_.brgemm.empty() || options_.brgemm == "burin" ? nullptr : &runtime::brgemm_executor(options_.brgemm);
  }

  /// The phases that the products were taken out of become phases again.
  std::vector<runtime::Kernel::Phase> joined(std::vector<runtime::Kernel::Phase> phases, const linear::LinearIR& ir,
                                             const std::vector<linear::SplitPhase>& all) const {
    std::vector<std::unique_ptr<codegen::MachineCode>> codes;
    for (runtime::Kernel::Phase& phase : phases) codes.push_back(std::move(phase.code));
    std::vector<runtime::Kernel::Phase> out;
    for (const linear::SplitPhase& steps : all) {
      const auto has_code = [](const linear::SplitPhase::Step& s) { return s.code.has_value(); };
      const auto code = std::find_if(steps.steps.begin(), steps.steps.end(), has_code);
      if (code == steps.steps.end()) throw Error("a phase that stores nothing");
      const runtime::Kernel::Phase& first = phases[*code->code];
      out.push_back({nullptr, first.level, first.items, std::make_unique<const runtime::ItemSteps>(ir, steps, codes, *executor())});
    }
    return out;
  }

  void declare_ports(const linear::LinearIR& ir) {
    std::vector<std::string> symbols = ir.symbols;
    runtime::ShapeBinding binding(body_.name, symbols);
    for (const linear::Port& port : ir.inputs) binding.add_input(port.name, port.shape, port.strides);
    for (const Facts::Check& fact : ir.facts.checks()) binding.add_fact(fact);
    kernel_->explicit_symbols = binding.explicit_symbols();
    kernel_->binding = std::move(binding);
    symbols.emplace_back(linear::kWorkers);
    kernel_->tape = Tape(std::move(symbols));
    for (const linear::Port& port : ir.outputs) {
      runtime::Kernel::Output output{port.name, {}};
      for (const Expr& e : port.shape) output.dimensions.push_back(kernel_->tape.add(e));
      kernel_->outputs.push_back(std::move(output));
    }
  }

  /// Who binds longer sums, or what no loop runs over, still gets results.
  void declare_limits(const AxisMap& axes) {
    for (const Expr& length : linear::lengths_of_integer_sums(body_, axes)) kernel_->integer_sums.push_back(kernel_->tape.add(length));
    if (const Expr skips = linear::skips_outputs(body_, axes); !(skips == Expr(0))) kernel_->skips_outputs = kernel_->tape.add(skips);
    if (!kernel_->integer_sums.empty() || kernel_->skips_outputs) kernel_->body = std::make_shared<const Graph>(body_);
  }

  Graph body_;
  CompileOptions options_;
  TargetInfo target_;
  PassOptions pass_options_;
  std::set<std::string> has_changed_;  ///< the passes that changed something of the last variant
  std::vector<std::set<std::string>> changed_;  ///< the same, by variant that is kept
  DumpFunction dump_;
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
Expr CompiledSubgraph::scratch_bytes() const { return kernel_->chosen(&runtime::Kernel::Variant::worker_bytes); }
Expr CompiledSubgraph::shared_scratch_bytes() const { return kernel_->chosen(&runtime::Kernel::Variant::call_bytes); }

CodegenStatistics codegen_statistics() {
  const codegen::CodegenCounters c = codegen::codegen_counters();
  return {c.events, c.bytes};
}

}  // namespace burin
