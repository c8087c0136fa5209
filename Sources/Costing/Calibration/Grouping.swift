import Documents

/// By what measured runs are put together when errors are shown.
package enum Grouping: String, Sendable, CaseIterable {
  case family, model, nodes, device, release, tensor, pipeline, data
  case zeroStage = "zero_stage"

  /// The name of a case's group, such as `tensor 8`.
  package func name(of item: Validation.Case) -> String {
    switch self {
    case .family: item.run.family
    case .model: (try? item.run.job.get())?.model.name ?? "unknown"
    case .nodes: "\(item.run.machine.nodeCount) node\(item.run.machine.nodeCount == 1 ? "" : "s")"
    case .device: item.run.machine.device
    case .release: item.run.release ?? "not stated"
    case .tensor: "tensor \(item.strategy.tensorDegree)"
    case .pipeline: "pipeline \(item.strategy.pipelineDegree)"
    case .data: "data \(item.strategy.dataDegree)"
    case .zeroStage: "ZeRO \(item.strategy.zeroStage.rawValue)"
    }
  }
}

extension Validation {
  /// The cases by group, largest group first, ties by name.
  package func grouped(by grouping: Grouping) -> [(name: String, validation: Validation)] {
    var members: [String: [Case]] = [:]
    for item in cases { members[grouping.name(of: item), default: []].append(item) }
    return members.map { ($0.key, Validation(cases: $0.value)) }
      .sorted { ($1.validation.cases.count, $0.name) < ($0.validation.cases.count, $1.name) }
  }
}
