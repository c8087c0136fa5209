package import Documents

/// One step of a rank: an operation, the queue it is put in, and what else it waits for.
///
/// Steps of one stream run one after the other, in the order of the program. Between streams nothing is ordered but by
/// `waitsFor`, as with events on a device's streams.
package struct ProgramStep: Sendable, Hashable {
  /// A queue of a device.
  package enum Stream: String, Sendable, Hashable, CaseIterable {
    case compute
    /// Collectives of the tensor group.
    case tensor
    /// What ranks that divide a sequence exchange for attention.
    case context
    /// Sends to and receives from other stages.
    case pipeline
    /// Everything among replicas and once an iteration.
    case data
    /// Weights from the host.
    case upload
    /// Weights to the host.
    case offload
    /// What workers send each other, in flight beside iterations.
    case outer
    /// Gradients to and from other stages where backward passes are split: between two stages they come in another order than
    /// activations that go the same way.
    case gradients
    /// Tokens on their way to experts and back.
    case experts
  }

  package enum Operation: Sendable, Hashable {
    case compute(Computation)
    case collective(Collective)
    case send(Transfer)
    case receive(Transfer)
    /// Brings the rank's slice of a part's weights from the host.
    case upload(HostTransfer)
    /// Takes the rank's slice of a part's weights to the host, and gives its whole weights on the device up.
    case offload(HostTransfer)
  }

  package let stream: Stream
  package let operation: Operation
  /// Steps of other streams that must have ended, by their index in the program; each is earlier in it.
  package let waitsFor: [Int]

  package init(stream: Stream, operation: Operation, waitsFor: [Int] = []) {
    self.stream = stream
    self.operation = operation
    self.waitsFor = waitsFor
  }
}

/// A tensor that a collective works on, in the place where the computations find it.
package enum Operand: Sendable, Hashable {
  /// The tensor that passes through the residual stream, or its gradient.
  case stream
  /// The tensor of the branch under way, or its gradient.
  case branch
  /// The kept input of the column-parallel product that runs backward.
  case columnInput
  /// Each token's largest logit.
  case tokenMaximum
  /// Each token's target logit.
  case tokenTarget
  /// Each token's sum of exponentials.
  case tokenSum
  /// What attention works on where ranks divide the sequence.
  case attention(AttentionTensor)
  /// What goes between ranks that have tokens and ranks that have their experts.
  case routed(RoutedTensor)
  /// What a further prediction begins with: the two vectors of every token side by side, or their gradient.
  case joined
  /// What the product of both gives, of which each rank of a tensor group has its columns.
  case columns
  /// What arrived for a pass, in parts.
  case arrived(PipelineStep)
  /// What an exchange is of: a part of the model, or everything on the rank; and where a quantised reduction has got to,
  /// nil if nothing is quantised or nothing reduced.
  case exchanged(Exchange, ModelPart?, Exchange.Hop?)
}

/// A tensor of tokens on their way to experts, or back.
package enum RoutedTensor: String, Sendable, Hashable {
  case tokens
  case tokensGradient = "gradient of tokens"
  /// What weighs each expert's output.
  case weights = "weights of experts"
  case weightsGradient = "gradient of the weights of experts"
  case outputs = "outputs of experts"
  case outputsGradient = "gradient of the outputs of experts"
}

/// A tensor of an attention whose sequence ranks divide.
package enum AttentionTensor: String, Sendable, Hashable {
  /// To be exchanged from parts of the sequence to parts of the heads.
  case queriesKeysValues = "queries, keys and values"
  /// Their gradient, the other way.
  case queriesKeysValuesGradient = "gradient of queries, keys and values"
  /// The core's output, from parts of the heads to parts of the sequence.
  case output = "attention output"
  /// Its gradient, the other way.
  case outputGradient = "gradient of the attention output"
  /// Keys and values, gathered or on their way round.
  case keysValues = "keys and values"
  /// Their gradient, summed to those that have them, or on its way round.
  case keysValuesGradient = "gradient of keys and values"
}

/// A collective operation as one of its ranks sees it.
package struct Collective: Sendable, Hashable {
  package let kind: CollectiveKind
  package let reduction: Reduction
  package let route: Route
  /// The ranks that take part, in the order of their numbers inside the group.
  package let group: [Int]
  package let operand: Operand
  /// Elements of the whole tensor.
  package let elementCount: Int
  /// Bytes of an element on the wire.
  package let elementByteCount: Int
  /// What it counts as.
  package let traffic: TrafficKind
  /// How numbers are quantised into the words that travel, which are then the elements; nil where they travel as they are.
  package let quantisation: Quantisation?

  package init(
    _ kind: CollectiveKind, of operand: Operand, over group: [Int], elementCount: Int, elementByteCount: Int,
    traffic: TrafficKind, reduction: Reduction = .sum, route: Route = .ring,
    quantisation: Quantisation? = nil
  ) {
    self.kind = kind
    self.reduction = reduction
    self.route = route
    self.group = group
    self.operand = operand
    self.elementCount = elementCount
    self.elementByteCount = elementByteCount
    self.traffic = traffic
    self.quantisation = quantisation
  }

  /// The messages.
  package var schedule: CollectiveSchedule {
    CollectiveSchedule(
      kind, rankCount: group.count, elementCount: elementCount, reduction: reduction, route: route)
  }
}

/// A message between two stages as its sender or its receiver sees it.
package struct Transfer: Sendable, Hashable {
  /// The rank at the other end.
  package let peer: Int
  /// The sender's pass whose result is sent.
  package let source: PipelineStep
  /// The receiver's pass that it is for.
  package let target: PipelineStep
  /// Elements of the message: the rank's part of the tensor.
  package let elementCount: Int
  /// Bytes of an element on the wire.
  package let elementByteCount: Int

  package init(peer: Int, source: PipelineStep, target: PipelineStep, elementCount: Int, elementByteCount: Int) {
    self.peer = peer
    self.source = source
    self.target = target
    self.elementCount = elementCount
    self.elementByteCount = elementByteCount
  }
}

/// Weights between the host and a device: a rank's slice of a part.
package struct HostTransfer: Sendable, Hashable {
  package let part: ModelPart
  /// Elements of the slice.
  package let elementCount: Int
  package let elementByteCount: Int

  package init(part: ModelPart, elementCount: Int, elementByteCount: Int) {
    self.part = part
    self.elementCount = elementCount
    self.elementByteCount = elementByteCount
  }

  package var byteCount: Int { elementCount * elementByteCount }
}

extension ProgramStep: CustomStringConvertible {
  /// What a report calls the step: `all-reduce of 512 elements over ranks 0, 1 (tensor)`.
  package var description: String { "\(operation)" }
}

extension ProgramStep.Operation: CustomStringConvertible {
  package var description: String {
    switch self {
    case .compute(let computation): "\(computation)"
    case .collective(let it):
      "\(it.kind.rawValue) of \(it.elementCount) elements (\(it.operand)\(it.quantisation.map { " as \($0)" } ?? "")) "
        + "over ranks \(it.group.map(String.init).joined(separator: ", "))"
    case .send(let it): "send of \(it.elementCount) elements for \(it.target) to rank \(it.peer)"
    case .receive(let it): "receive of \(it.elementCount) elements for \(it.target) from rank \(it.peer)"
    case .upload(let it): "upload of \(it.elementCount) elements of \(it.part)"
    case .offload(let it): "offload of \(it.elementCount) elements of \(it.part)"
    }
  }
}

extension Operand: CustomStringConvertible {
  package var description: String {
    switch self {
    case .stream: "residual stream"
    case .branch: "branch"
    case .columnInput: "column-parallel input"
    case .tokenMaximum: "largest logits"
    case .tokenTarget: "target logits"
    case .tokenSum: "sums of exponentials"
    case .attention(let tensor): tensor.rawValue
    case .routed(let tensor): tensor.rawValue
    case .joined: "input of a further prediction"
    case .columns: "columns of a further prediction's input"
    case .arrived(let pass): "what arrived for \(pass)"
    case .exchanged(let exchange, let part, let hop): exchange.description(of: part, hop)
    }
  }
}
