public import Schedules

extension PipelineTimes {
  /// The end of each stage's last backward pass, in seconds, found by walking the schedule's own step lists.
  ///
  /// It knows nothing about any kind of schedule, so it judges the fast recurrences of
  /// ``endSeconds(of:microBatchCount:scratch:)``. The iteration ends at the maximum.
  ///
  /// - Precondition: The schedule has the stage and chunk counts of these times.
  /// - Throws: ``PipelineDeadlock``; no schedule that can be constructed does.
  /// - Complexity: O(stages × micro-batches × chunks) time and memory for the schedules of ``PipelineScheduleKind``.
  public func referenceEndSeconds(
    of schedule: PipelineSchedule
  ) throws(PipelineDeadlock) -> [Double] {
    precondition(
      schedule.stageCount == stageCount && schedule.chunkCount == chunkCount,
      "schedule and times have the same stages and chunks")
    return try referenceEndSeconds(ofSteps: (0..<stageCount).map(schedule.steps(ofStage:)))
  }

  /// The end of each stage's last step, in seconds, when every stage runs its own list of steps in order and starts a
  /// step as soon as the step before has ended and the step's source has arrived; 0 for an empty list.
  ///
  /// A backward pass also needs the stage's own forward pass of the same micro-batch and chunk.
  ///
  /// - Precondition: One list per stage; every chunk exists.
  /// - Throws: ``PipelineDeadlock`` when stages wait for each other or for a pass that nobody runs.
  public func referenceEndSeconds(
    ofSteps steps: [[PipelineStep]]
  ) throws(PipelineDeadlock) -> [Double] {
    precondition(steps.count == stageCount, "one list of steps per stage")
    var walk = Walk(steps: steps, chunkCount: chunkCount)
    var hasProgress = true
    while hasProgress {
      hasProgress = false
      for stageIndex in 0..<stageCount {
        while let event = walk.next(ofStage: stageIndex),
          let start = startSeconds(of: event, in: walk)
        {
          walk.finish(event, atSeconds: start + seconds(of: event))
          hasProgress = true
        }
      }
    }
    let waits = (0..<stageCount).compactMap { wait(ofStage: $0, in: walk) }
    guard waits.isEmpty else { throw PipelineDeadlock(waits: waits) }
    return walk.stageEndSeconds
  }

  /// How far every stage has come.
  private struct Walk {
    let steps: [[PipelineStep]]
    let chunkCount: Int
    let microBatchCount: Int
    var positions: [Int]
    var stageEndSeconds: [Double]
    /// The end of each pass, nil while it is not done, by stage, chunk, micro-batch and direction.
    var endSeconds: [Double?]

    init(steps: [[PipelineStep]], chunkCount: Int) {
      self.steps = steps
      self.chunkCount = chunkCount
      microBatchCount = (steps.joined().map(\.microBatchIndex).max() ?? -1) + 1
      positions = Array(repeating: 0, count: steps.count)
      stageEndSeconds = Array(repeating: 0, count: steps.count)
      endSeconds = Array(repeating: nil, count: 2 * steps.count * chunkCount * microBatchCount)
    }

    func next(ofStage stageIndex: Int) -> PipelineEvent? {
      let position = positions[stageIndex]
      guard position < steps[stageIndex].count else { return nil }
      return PipelineEvent(stageIndex: stageIndex, step: steps[stageIndex][position])
    }

    func end(of event: PipelineEvent) -> Double? {
      endSeconds[index(of: event)]
    }

    mutating func finish(_ event: PipelineEvent, atSeconds seconds: Double) {
      positions[event.stageIndex] += 1
      stageEndSeconds[event.stageIndex] = seconds
      endSeconds[index(of: event)] = seconds
    }

    private func index(of event: PipelineEvent) -> Int {
      let step = event.step
      precondition(step.chunkIndex < chunkCount, "the chunk of \(step) exists")
      let chunk = event.stageIndex * chunkCount + step.chunkIndex
      return 2 * (chunk * microBatchCount + step.microBatchIndex) + (step.pass == .forward ? 0 : 1)
    }
  }

  /// The earliest start of a stage's next step, or nil while something it needs is not done.
  private func startSeconds(of event: PipelineEvent, in walk: Walk) -> Double? {
    var start = walk.stageEndSeconds[event.stageIndex]
    for source in sources(of: event) {
      guard let end = walk.end(of: source) else { return nil }
      start = max(start, end + transferSeconds(from: source, to: event))
    }
    return start
  }

  private func sources(of event: PipelineEvent) -> [PipelineEvent] {
    var sources: [PipelineEvent] = []
    if let source = event.source(stageCount: stageCount, chunkCount: chunkCount) {
      sources.append(source)
    }
    if event.step.pass == .backward {
      let step = event.step
      sources.append(
        PipelineEvent(
          stageIndex: event.stageIndex,
          step: PipelineStep(
            pass: .forward, microBatchIndex: step.microBatchIndex, chunkIndex: step.chunkIndex)))
    }
    return sources
  }

  private func wait(ofStage stageIndex: Int, in walk: Walk) -> PipelineDeadlock.Wait? {
    guard let event = walk.next(ofStage: stageIndex),
      let source = sources(of: event).first(where: { walk.end(of: $0) == nil })
    else { return nil }
    return PipelineDeadlock.Wait(
      event: event, stepIndex: walk.positions[stageIndex], source: source)
  }

  private func seconds(of event: PipelineEvent) -> Double {
    let index = event.stageIndex * chunkCount + event.step.chunkIndex
    return event.step.pass == .forward ? forwardSeconds[index] : backwardSeconds[index]
  }

  /// Seconds of the transfer between an event and its source: none within a stage, over the wrap when the chunk
  /// changes (with two stages the wrap joins the same pair as the boundary), over the boundary otherwise.
  private func transferSeconds(from source: PipelineEvent, to event: PipelineEvent) -> Double {
    if source.stageIndex == event.stageIndex { return 0 }
    if source.step.chunkIndex != event.step.chunkIndex { return wrapTransferSeconds }
    return transferSeconds[min(source.stageIndex, event.stageIndex)]
  }
}
