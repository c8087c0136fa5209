package import Training

extension PipelineTimes {
  /// The end of each stage's last step, in seconds, when every stage runs its list of steps in order and starts each as
  /// soon as the step before has ended and what it needs has arrived; 0 for an empty list.
  ///
  /// This is the time of any schedule, by its steps alone. A forward pass needs the activations of the virtual stage
  /// before it. A backward pass needs its own forward pass, and the gradients of the virtual stage after it.
  ///
  /// - Precondition: The schedule has as many stages and chunks as these times.
  /// - Throws: ``PipelineDeadlock`` when stages wait for each other or for a pass that no stage runs.
  /// - Complexity: O(steps) time and memory.
  package func endSeconds(walking schedule: PipelineSchedule) throws(PipelineDeadlock) -> [Double] {
    var walk = PipelineWalk(times: self, schedule: schedule)
    walk.run()
    guard walk.waits.isEmpty else { throw PipelineDeadlock(waits: walk.waits) }
    return walk.stageEnds
  }
}

/// Every unfinished stage waits for a pass that never ends: the lists of steps do not fit together.
package struct PipelineDeadlock: Error, Sendable, CustomStringConvertible {
  /// A stage that cannot go on.
  package struct Wait: Sendable, Hashable {
    package let stageIndex: Int
    /// The position in its list of the step it cannot start.
    package let stepIndex: Int
    package let step: PipelineStep
    /// The stage and the pass it waits for.
    package let sourceStageIndex: Int
    package let source: PipelineStep
  }

  /// The unfinished stages, first to last; never empty.
  package let waits: [Wait]

  package var description: String {
    waits.map {
      "stage \($0.stageIndex) waits at step \($0.stepIndex), \($0.step), for \($0.source) of stage \($0.sourceStageIndex)"
    }.joined(separator: "; ")
  }
}

/// How far a walk has come.
private struct PipelineWalk {
  /// What a pass needs: another pass, and the time that its result takes to arrive.
  private struct Need {
    let pass: PipelineStep.Pass
    let virtualStage: Int
    let transferSeconds: Double
  }

  private let times: PipelineTimes
  private let schedule: PipelineSchedule
  private let steps: [[PipelineStep]]
  /// Stage and chunk at each position in the model.
  private let places: [(stageIndex: Int, chunkIndex: Int)]
  private var nextSteps: [Int]
  private(set) var stageEnds: [Double]
  /// When each pass ended, at ``index(_:_:_:)``; negative before it has.
  private var ends: [Double]
  /// Stages that may have become able to go on.
  private var candidates: [Int]

  init(times: PipelineTimes, schedule: PipelineSchedule) {
    let (p, v) = (times.stageCount, times.chunkCount)
    precondition(
      schedule.stageCount == p && schedule.chunkCount == v,
      "times of \(p) stages of \(v) chunks for a schedule of \(schedule.stageCount) of \(schedule.chunkCount)")
    self.times = times
    self.schedule = schedule
    steps = (0..<p).map(schedule.steps(ofStage:))
    places = (0..<p * v).compactMap(schedule.place(ofVirtualStage:))
    nextSteps = Array(repeating: 0, count: p)
    stageEnds = Array(repeating: 0, count: p)
    ends = Array(repeating: -1, count: PipelineStep.Pass.allCases.count * p * v * schedule.microBatchCount)
    candidates = (0..<p).reversed()
  }

  /// Runs what can be run. Every step is looked at once when its stage comes to it, and once more for each need that ends
  /// later.
  mutating func run() {
    while let stage = candidates.popLast() {
      while nextSteps[stage] < steps[stage].count {
        let step = steps[stage][nextSteps[stage]]
        let virtualStage = schedule.virtualStageIndex(stage: stage, chunk: step.chunkIndex)
        let needs = needs(of: step.pass, at: virtualStage)
        var start = stageEnds[stage]
        guard arrive(needs.0, step, &start), arrive(needs.1, step, &start) else { break }
        let end = start + times.seconds(of: step.pass, at: stage * times.chunkCount + step.chunkIndex)
        ends[index(step.pass, virtualStage, step.microBatchIndex)] = end
        stageEnds[stage] = end
        nextSteps[stage] += 1
        let user = step.pass == .forward ? virtualStage + 1 : virtualStage - 1
        if places.indices.contains(user), places[user].stageIndex != stage {
          candidates.append(places[user].stageIndex)
        }
      }
    }
  }

  /// The passes of the same micro-batch whose results a pass needs.
  private func needs(of pass: PipelineStep.Pass, at virtualStage: Int) -> (Need?, Need?) {
    func need(_ pass: PipelineStep.Pass, _ source: Int) -> Need? {
      guard places.indices.contains(source) else { return nil }
      return Need(
        pass: pass, virtualStage: source, transferSeconds: transferSeconds(places[source], places[virtualStage]))
    }
    switch pass {
    case .forward: return (need(.forward, virtualStage - 1), nil)
    case .backward: return (need(.backward, virtualStage + 1), need(.forward, virtualStage))
    }
  }

  /// Puts a start off until a need has arrived.
  ///
  /// - Returns: false if it has not ended.
  @inline(__always)
  private func arrive(_ need: Need?, _ step: PipelineStep, _ start: inout Double) -> Bool {
    guard let need else { return true }
    let end = ends[index(need.pass, need.virtualStage, step.microBatchIndex)]
    start = max(start, end + need.transferSeconds)
    return end >= 0
  }

  /// Nothing within a stage; over the wrap where the chunk changes (with two stages the wrap joins the same pair as the
  /// boundary); over the boundary otherwise.
  private func transferSeconds(
    _ source: (stageIndex: Int, chunkIndex: Int), _ user: (stageIndex: Int, chunkIndex: Int)
  ) -> Double {
    if source.stageIndex == user.stageIndex { return 0 }
    return source.chunkIndex == user.chunkIndex
      ? times.transferSeconds[min(source.stageIndex, user.stageIndex)] : times.wrapTransferSeconds
  }

  private func index(_ pass: PipelineStep.Pass, _ virtualStage: Int, _ microBatch: Int) -> Int {
    (pass.index * places.count + virtualStage) * schedule.microBatchCount + microBatch
  }

  /// The stages that have not come to their end.
  var waits: [PipelineDeadlock.Wait] {
    steps.indices.compactMap { stage in
      guard nextSteps[stage] < steps[stage].count else { return nil }
      let step = steps[stage][nextSteps[stage]]
      let needs = needs(of: step.pass, at: schedule.virtualStageIndex(stage: stage, chunk: step.chunkIndex))
      return [needs.0, needs.1].compactMap(\.self).first {
        ends[index($0.pass, $0.virtualStage, step.microBatchIndex)] < 0
      }.map { need in
        let place = places[need.virtualStage]
        return PipelineDeadlock.Wait(
          stageIndex: stage, stepIndex: nextSteps[stage], step: step, sourceStageIndex: place.stageIndex,
          source: PipelineStep(
            pass: need.pass, microBatchIndex: step.microBatchIndex, chunkIndex: place.chunkIndex))
      }
    }
  }
}

extension PipelineStep.Pass {
  /// The position among all cases.
  fileprivate var index: Int {
    switch self {
    case .forward: 0
    case .backward: 1
    }
  }
}

extension PipelineTimes {
  /// Seconds of a pass through the chunk at `stage · chunkCount + chunk`.
  fileprivate func seconds(of pass: PipelineStep.Pass, at index: Int) -> Double {
    switch pass {
    case .forward: forwardSeconds[index]
    case .backward: backwardSeconds[index]
    }
  }
}

extension PipelineSchedule {
  /// Passes during which the stage that idles longest is idle when all passes, forward and backward, take the same time
  /// and transfers none: a walk in which every pass takes 1.
  ///
  /// 1F1B and interleaved 1F1B have 2(p − 1), whatever the number of micro-batches (Narayanan et al. 2021,
  /// arXiv 2104.04473, sections 2.2.1 and 2.2.2); interleaved these are passes of one of v chunks, so that the same count is
  /// 1/v of the time.
  ///
  /// - Throws: ``PipelineDeadlock``, which no schedule of a name does.
  package func bubblePassCount() throws(PipelineDeadlock) -> Int {
    let chunks = Array(repeating: 1.0, count: stageCount * chunkCount)
    let ends = try PipelineTimes(
      stageCount: stageCount, chunkCount: chunkCount, forwardSeconds: chunks, backwardSeconds: chunks,
      transferSeconds: Array(repeating: 0, count: stageCount - 1)
    ).endSeconds(walking: self)
    let fewest = (0..<stageCount).reduce(Int.max) { min($0, steps(ofStage: $1).count) }
    return Int(ends.max() ?? 0) - fewest
  }
}
