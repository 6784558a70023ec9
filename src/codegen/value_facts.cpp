#include "codegen/value_facts.h"

#include "linear/analysis.h"

namespace burin::codegen {

using linear::Expression;
using linear::Op;

ValueFacts::ValueFacts(const linear::LinearIR& ir) : varies(linear::dependences(ir)), words(linear::words_of(ir)) {
  linear::for_each_expression(ir.phases, [&](const Expression& e) {
    if (info(e.op).kind == linear::OpClass::update) updated.insert(e.out);
    if (e.op == Op::update_max_number) numbers.insert(e.out);
    for (const linear::ValueId v : e.in) readers[v].push_back(&e);
    if (e.out != linear::kNone) ++writers[e.out];
  });
}

}  // namespace burin::codegen
