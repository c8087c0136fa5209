import Costing
import Documents
import Search
import Sextant

/// Why there is no plan, in one sentence with numbers.
struct InfeasibilityReport {
  let no: NoPlan

  var sentence: String {
    guard let shortage = no.result.shortage else {
      return "no feasible plan: \(no)"
    }
    let memory = shortage.stageMemory
    let precision = shortage.precision == no.model.job.precision ? "" : " in \(shortage.precision.rawValue)"
    let largest = memory.parts.sorted { $0.bytes > $1.bytes }.prefix(3)
      .map { "\($0.name) \(Format.gigabytes($0.bytes))" }.joined(separator: ", ")
    return """
      no feasible plan: none of \(Format.count(no.result.certificate.memoryRejectedCount)) strategies fits; the nearest, \
      \(shortage.strategy.short)\(precision), needs \(Format.gigabytes(memory.peakBytes)) on stage \
      \(shortage.stageIndex) (\(largest)), \(Format.gigabytes(shortage.excessBytes)) over the \
      \(Format.gigabytes(shortage.limitBytes)) that may be used; would fit with \(changes(shortage))
      """
  }

  /// The smallest change of each limit that makes something fit.
  private func changes(_ shortage: MemoryShortage) -> String {
    var changes = ["\(Format.gigabytes(shortage.neededDeviceBytes)) of memory a device"]
    if let needed = shortage.neededHostBytes, let host = no.model.cluster.host {
      changes.append(
        "\(Format.gigabytes(needed)) of memory a node instead of \(Format.gigabytes(host.memoryBytes)), part of the states there"
      )
    }
    if let recompute = shortage.sufficientRecompute {
      changes.append("recompute=\(recompute.rawValue) instead of what is fixed")
    }
    if let nodes = shortage.sufficientNodeCount {
      changes.append("\(Format.count(nodes)) nodes instead of \(Format.count(no.model.nodeOrder.count))")
    }
    if let length = shortage.sufficientSequenceLength {
      changes.append("sequences of \(Format.count(length)) instead of \(Format.count(no.model.job.sequenceLength))")
    }
    return (changes + no.changeWords).joined(separator: ", or ")
  }
}
