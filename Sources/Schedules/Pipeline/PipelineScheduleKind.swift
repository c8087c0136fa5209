/// The order in which a pipeline stage alternates forward and backward passes.
///
/// The raw value is the word used in documents and on the command line.
public enum PipelineScheduleKind: String, Sendable, Hashable, CaseIterable {
  /// One forward, one backward, with a flush at the end of the iteration: Narayanan et al. 2021
  /// (arXiv 2104.04473), section 2.2.1, as Megatron-LM runs it.
  case oneForwardOneBackward = "1f1b"

  /// One forward, one backward over several model chunks per stage: Narayanan et al. 2021, section 2.2.2.
  case interleaved = "1f1b-interleaved"
}
