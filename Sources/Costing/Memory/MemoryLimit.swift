package import Documents

/// How much memory a stage may take: what a verdict leaves of its device, and a number of bytes more.
///
/// Devices of one cluster may differ in size, so that what all stages keep is no number of bytes.
package struct MemoryLimit: Sendable, Hashable {
  package let verdict: Prediction.Verdict
  /// Bytes beyond what the verdict allows, or short of it.
  package let extraBytes: Int

  package init(_ verdict: Prediction.Verdict, extraBytes: Int = 0) {
    self.verdict = verdict
    self.extraBytes = extraBytes
  }
}

extension MemoryModel {
  /// The largest peak within a limit, bytes.
  package func limitBytes(_ limit: MemoryLimit) -> Int {
    let (sum, overflow) = limitBytes(limit.verdict).addingReportingOverflow(limit.extraBytes)
    return overflow ? .max : sum
  }
}
