#pragma once

#include "graph/axes.h"
#include "linear/linear_ir.h"
#include "schedule/schedule.h"

namespace burin::linear {

/// Graph -> Linear IR: each operation becomes a nest of loops over its axes, inside of the parallel loops that all
/// share; reductions and products become a fill, updates inside of the loop over the folded axis, and (where that
/// axis lies in the lanes) a fold across lanes. Transposes and repeats vanish: they are strides.
///
///     %4 = softmax's max: reduce_max %3, axes=[1]        %max = fill -inf over(_q)
///                                                  ->    loop _k in 0..S { %max = update_max %max, %3 }
///
/// Values may still cross loops (the buffer-insertion pass ends that). Throws burin::Error for an operation that
/// Linear IR does not have.
LinearIR lower(const Graph& body, const AxisMap& axes, const Schedule& schedule, const TargetInfo& target);

/// The name of the loop variable of an axis, the same in all nests.
std::string loop_variable(const AxisMap& axes, AxisId axis);

}  // namespace burin::linear
