public import Schedules

/// Every unfinished stage waits for a pass that never ends: the step lists do not fit together.
public struct PipelineDeadlock: Error, Sendable, Hashable {
  /// One stage that cannot go on.
  public struct Wait: Sendable, Hashable {
    /// The stage and the step it cannot start.
    public let event: PipelineEvent

    /// The position of that step in the stage's list.
    public let stepIndex: Int

    /// What it waits for.
    public let source: PipelineEvent
  }

  /// The unfinished stages, first to last; never empty.
  public let waits: [Wait]
}

extension PipelineDeadlock: CustomStringConvertible {
  /// Who waits for whom, at which step.
  public var description: String {
    "pipeline deadlock: "
      + waits.map { wait in
        "stage \(wait.event.stageIndex) waits at step \(wait.stepIndex), \(wait.event.step), "
          + "for \(wait.source.step) of stage \(wait.source.stageIndex)"
      }.joined(separator: "; ")
  }
}
