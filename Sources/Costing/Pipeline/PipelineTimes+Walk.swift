package import Training

extension PipelineTimes {
  /// The end of each stage's last step, in seconds, when every stage runs its list of steps in order and starts each as
  /// soon as the step before has ended and what it needs has arrived; 0 for an empty list.
  ///
  /// This is the time of any schedule, by its steps alone. A forward pass needs the activations of the virtual stage
  /// before it. A backward pass, or an input gradient, needs its own forward pass, and the gradients of the virtual stage
  /// after it; a weight gradient needs its own input gradient. Two steps that run beside each other start when both can.
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
  /// What a pass needs: another pass, or in place of a whole backward pass its input gradient, and the time that its result takes to arrive.
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
    ends = Array(repeating: -1, count: PipelineStep.Pass.resultCount * p * v * schedule.microBatchCount)
    candidates = (0..<p).reversed()
  }

  /// Runs what can be run. Every step is looked at once when its stage comes to it, and once more for each need that ends
  /// later.
  mutating func run() {
    while let stage = candidates.popLast() {
      while nextSteps[stage] < steps[stage].count {
        let index = nextSteps[stage]
        let isPaired = schedule.isPaired(index, ofStage: stage) && index + 1 < steps[stage].count
        var start = stageEnds[stage]
        guard delay(&start, steps[stage][index], at: stage),
          !isPaired || delay(&start, steps[stage][index + 1], at: stage)
        else { break }
        var end = start + seconds(of: steps[stage][index], at: stage)
        if isPaired { end = start + times.pairFactor * (end - start + seconds(of: steps[stage][index + 1], at: stage)) }
        finish(steps[stage][index], at: stage, end)
        if isPaired { finish(steps[stage][index + 1], at: stage, end) }
      }
    }
  }

  /// Puts a step's start off until all that it needs has arrived.
  ///
  /// - Returns: false if something has not ended.
  @inline(__always)
  private func delay(_ start: inout Double, _ step: PipelineStep, at stage: Int) -> Bool {
    let needs = needs(of: step.pass, at: schedule.virtualStageIndex(stage: stage, chunk: step.chunkIndex))
    return arrive(needs.0, step, &start) && arrive(needs.1, step, &start)
  }

  @inline(__always)
  private func seconds(of step: PipelineStep, at stage: Int) -> Double {
    times.seconds(of: step.pass, at: stage * times.chunkCount + step.chunkIndex)
  }

  /// Notes the end of a step, and which stage may go on by it.
  private mutating func finish(_ step: PipelineStep, at stage: Int, _ end: Double) {
    let virtualStage = schedule.virtualStageIndex(stage: stage, chunk: step.chunkIndex)
    ends[index(step.pass, virtualStage, step.microBatchIndex)] = end
    stageEnds[stage] = end
    nextSteps[stage] += 1
    guard step.pass != .weightGradient else { return }
    let user = step.pass == .forward ? virtualStage + 1 : virtualStage - 1
    if places.indices.contains(user), places[user].stageIndex != stage { candidates.append(places[user].stageIndex) }
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
    case .backward, .inputGradient: return (need(.backward, virtualStage + 1), need(.forward, virtualStage))
    case .weightGradient: return (need(.inputGradient, virtualStage), nil)
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

  /// Nothing within a stage; over the wrap between the first and the last stage where the chunk changes (with two stages the
  /// wrap joins the same pair as the boundary, and along a V there is none); over the boundary otherwise.
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
  /// The position of its result: a whole backward pass gives what its input gradient gives.
  fileprivate var index: Int {
    switch self {
    case .forward: 0
    case .backward, .inputGradient: 1
    case .weightGradient: 2
    }
  }

  fileprivate static let resultCount = 3
}

extension PipelineTimes {
  /// Seconds of a pass through the chunk at `stage · chunkCount + chunk`.
  fileprivate func seconds(of pass: PipelineStep.Pass, at index: Int) -> Double {
    switch pass {
    case .forward: forwardSeconds[index]
    case .backward: backwardSeconds[index]
    case .inputGradient: weightSeconds.isEmpty ? backwardSeconds[index] : backwardSeconds[index] - weightSeconds[index]
    case .weightGradient: weightSeconds.isEmpty ? 0 : weightSeconds[index]
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
  /// Where backward passes are split, input and weight gradient take 1 each, and a whole backward pass 2.
  ///
  /// - Throws: ``PipelineDeadlock``, which no schedule of a name does.
  package func bubblePassCount() throws(PipelineDeadlock) -> Int {
    let chunks = Array(repeating: 1.0, count: stageCount * chunkCount)
    let isSplit = splitsBackward
    let ends = try PipelineTimes(
      stageCount: stageCount, chunkCount: chunkCount, forwardSeconds: chunks,
      backwardSeconds: isSplit ? chunks.map { 2 * $0 } : chunks, weightSeconds: isSplit ? chunks : [],
      transferSeconds: Array(repeating: 0, count: stageCount - 1)
    ).endSeconds(walking: self)
    let fewest = (0..<stageCount).reduce(Int.max) { fewest, stage in
      min(fewest, steps(ofStage: stage).reduce(0) { $0 + (isSplit && $1.pass == .backward ? 2 : 1) })
    }
    return Int(ends.max() ?? 0) - fewest
  }
}
