import Synchronization

/// Which way the ranks of a run have rounded numbers that lie so near the middle between two of a narrow format that a sum in
/// another order could have gone the other way.
///
/// A parallel run and a serial one add up in different orders, so that their operands differ in the last places of fp32; rounded to
/// few bits almost all become the same, and those near a middle may become neighbours, 2⁻⁴ apart, after which nothing could be
/// compared any more. So the run notes these, and the reference rounds each as the run did, provided that its own number is as near the
/// middle (``RoundingChoices``). What is left between the two is what fp32 leaves.
final class RoundingRecord: Sendable {
  private struct Notes {
    var codes: [UInt64: Float] = [:]
    var conflictCount = 0
  }

  private let notes = Mutex(Notes())

  init() {}

  /// What was noted: by the hash of what a number is, its code.
  var codes: [UInt64: Float] { notes.withLock { $0.codes } }

  /// Numbers that several ranks have and have rounded differently.
  var conflictCount: Int { notes.withLock { $0.conflictCount } }

  func note(_ new: [(key: UInt64, code: Float)]) {
    guard !new.isEmpty else { return }
    notes.withLock { notes in
      for (key, code) in new {
        if let old = notes.codes.updateValue(code, forKey: key), old != code { notes.conflictCount += 1 }
      }
    }
  }
}

/// What is done about numbers near the middle between two of a format.
enum RoundingChoices: Sendable {
  /// Nothing.
  case free
  /// They are noted.
  case noted(RoundingRecord)
  /// They are rounded as was noted.
  case followed([UInt64: Float])

  /// How far from a middle numbers may be to be noted, relative to the largest magnitude that is cast at once; those that
  /// follow, twice as far.
  struct Windows: Sendable, Equatable {
    /// At the first step, before which weights are the same to the bit.
    var first: Float = 0
    var later: Float = 0
  }
}
