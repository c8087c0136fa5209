/// Why ranks send each other bytes: the kinds by which traffic is counted, by the cost model and by the executor alike.
package enum TrafficKind: String, Sendable, Hashable, CaseIterable {
  /// Collectives of a tensor group, and the gathers that complete what crossed a stage boundary in parts.
  case tensor
  /// Activations down and gradients up between stages.
  case pipeline
  /// Gradients reduced and weights gathered among replicas.
  case data
  /// Gradients of tied embeddings, summed between the first and the last stage.
  case embedding
  /// Scalars: the gradient's norm, the loss that is reported.
  case control
  /// Keys, values and heads between ranks that divide a sequence.
  case context
  /// Tokens on their way to experts and back.
  case expert
  /// Once a round, for the outer step of workers: what they have moved by.
  case outer
}

extension TrafficKind {
  /// Its place among all kinds.
  package var index: Int {
    switch self {
    case .tensor: 0
    case .pipeline: 1
    case .data: 2
    case .embedding: 3
    case .control: 4
    case .context: 5
    case .expert: 6
    case .outer: 7
    }
  }
}
