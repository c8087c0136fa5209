/// Lower bounds on the time of 1F1B, one term per stage, for a search over splits of the layers into stages.
///
/// With the links known, a stage's term depends on the split only through the stage's position, the work of all stages and
/// of those before it, and its own forward and backward time. So a dynamic programme over splits can minimise the maximum
/// of the terms, which is a lower bound on the best split's time.
///
/// Every term is the length of a path through the dependency graph, so none exceeds the exact time of any split that
/// has this stage. With i the stage, p stages, m micro-batches, f, b its own pass times, C = f + b, l_j the links,
/// w = p − 1 − i, R_j = Σ_{k≥j} C_k + 2 Σ_{k≥j} l_k (the round trip from stage j down and back up):
///
/// - *fill*: Σ_{j<i} (C_j + 2 l_j) + m·C. The first micro-batch arrives, the stage never waits, the last goes back up.
/// - *one round trip, backwards after*: R_0 + (m − 1)·b + max(0, m − 1 − w)·f. The first micro-batch goes down and up
///   to stage i, which then runs all it has left.
/// - *one round trip, forwards before*: R_0 + (m − 1)·f + max(0, m − 1 − w)·b, its mirror image.
/// - *cycles*: (1 + a)·R_0 + n·R_i + (m − 1 − a·p − n(p − i))·C for a + n ≥ 1. Stage j holds at most p − j
///   micro-batches, so after a backward pass of micro-batch k follows the forward pass of k + p − j, whose round trip
///   takes R_j and moves the path on by p − j micro-batches; a pair of passes on one stage takes C and moves it on by
///   one. On the way up the path takes first the pairs, then n cycles at stage i, then a cycles at stage 0; with at
///   least one cycle to come the forward pass of every pair exists, as m − 1 is not yet reached.
///
/// With equal stages and m a multiple of p the cycles with a = m/p − 1, n = 1 at stage 1 are the exact time
/// (`equalStageSeconds` in the tests' `PipelineClosedForm.swift`). Derived here; checked against the exact time over random pipelines in `PipelineLowerBoundTests`.
package struct OneForwardOneBackwardBound: Sendable {
  /// Stages of the pipeline, at least 1.
  package let stageCount: Int

  /// Micro-batches per iteration, at least 1.
  package let microBatchCount: Int

  /// Seconds of all transfers at and after each stage, both ways.
  private let roundTripTransferSeconds: [Double]

  /// What all splits have in common.
  ///
  /// - Parameters:
  ///   - transferSeconds: l_j, seconds of one transfer between stages j and j + 1; one fewer than there are stages.
  ///   - microBatchCount: m, at least 1.
  /// - Precondition: `microBatchCount` is at least 1.
  package init(transferSeconds: [Double], microBatchCount: Int) {
    precondition(microBatchCount >= 1, "an iteration has at least 1 micro-batch")
    stageCount = transferSeconds.count + 1
    self.microBatchCount = microBatchCount
    var after = Array(repeating: 0.0, count: stageCount)
    for boundary in transferSeconds.indices.reversed() {
      after[boundary] = after[boundary + 1] + 2 * transferSeconds[boundary]
    }
    roundTripTransferSeconds = after
  }

  /// The longest of the stage's paths: a lower bound on the time of every split that has this stage, in seconds.
  ///
  /// - Parameters:
  ///   - stageIndex: i, from 0.
  ///   - workSeconds: Σ_j C_j, or a lower bound of it.
  ///   - prefixWorkSeconds: Σ_{j<i} C_j, the work before the stage.
  ///   - forwardSeconds: f of the stage.
  ///   - backwardSeconds: b of the stage.
  /// - Precondition: The stage exists.
  /// - Complexity: O(1), six paths.
  package func stageTermSeconds(
    _ stageIndex: Int, workSeconds: Double, prefixWorkSeconds: Double, forwardSeconds: Double, backwardSeconds: Double
  ) -> Double {
    precondition(
      (0..<stageCount).contains(stageIndex), "stage \(stageIndex) is not one of \(stageCount)")
    // The letters are those of the type's comment; `rest` micro-batches after the first.
    let rest = microBatchCount - 1
    let transfers = roundTripTransferSeconds[0]
    let wholeTrip = workSeconds + transfers
    let trip = workSeconds - prefixWorkSeconds + roundTripTransferSeconds[stageIndex]
    let pairCount = Double(max(0, rest - (stageCount - 1 - stageIndex)))

    var longest = fillSeconds(
      stageIndex, prefixWorkSeconds: prefixWorkSeconds, workSeconds: forwardSeconds + backwardSeconds)
    longest = max(
      longest,
      roundTripSeconds(
        stageIndex, workSeconds: workSeconds, forwardSeconds: forwardSeconds, backwardSeconds: backwardSeconds),
      wholeTrip + Double(rest) * forwardSeconds + pairCount * backwardSeconds)

    // Linear in n, so the ends of its range are enough; in a three values that are good, any being a path.
    let mostAtFirst = rest / stageCount
    for skipped in 0...2 {
      // All cycles at stage 0 that fit, one less, none.
      let atFirst = skipped == 2 ? 0 : max(0, mostAtFirst - skipped)
      longest = max(
        longest,
        cyclesSeconds(
          stageIndex, cyclesAtFirst: atFirst, wholeTrip: wholeTrip, trip: trip,
          pairSeconds: forwardSeconds + backwardSeconds))
    }
    return longest
  }

  /// The first of the paths, which needs least to be known: it grows with the stage's work and is never longer than the
  /// longest.
  @inline(__always)
  package func fillSeconds(_ stageIndex: Int, prefixWorkSeconds: Double, workSeconds: Double) -> Double {
    prefixWorkSeconds + (roundTripTransferSeconds[0] - roundTripTransferSeconds[stageIndex])
      + Double(microBatchCount) * workSeconds
  }

  /// The second of the paths, for which nothing needs to be known of the work before the stage.
  ///
  /// - Parameter workSeconds: Σ_j C_j, or a lower bound of it.
  @inline(__always)
  package func roundTripSeconds(
    _ stageIndex: Int, workSeconds: Double, forwardSeconds: Double, backwardSeconds: Double
  ) -> Double {
    let rest = microBatchCount - 1
    return workSeconds + roundTripTransferSeconds[0] + Double(rest) * backwardSeconds
      + Double(max(0, rest - (stageCount - 1 - stageIndex))) * forwardSeconds
  }

  /// The longest path with `a` cycles at stage 0, then as many as pay at stage i, then pairs; the shortest path of all
  /// when no cycle fits.
  @inline(__always)
  private func cyclesSeconds(
    _ stageIndex: Int, cyclesAtFirst a: Int, wholeTrip: Double, trip: Double, pairSeconds: Double
  ) -> Double {
    let window = stageCount - stageIndex
    let left = microBatchCount - 1 - a * stageCount
    let most = left / window
    if a + most == 0 { return wholeTrip }
    let paysMore = trip > Double(window) * pairSeconds
    let n = paysMore ? most : (a == 0 ? 1 : 0)
    return Double(1 + a) * wholeTrip + Double(n) * trip + Double(left - n * window) * pairSeconds
  }
}
