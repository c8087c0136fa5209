import Documents
import Training

/// Seconds of a list of operations on one device by cause, and the collectives between them: a recipe's steps folded.
struct Account: Sendable {
  /// Matrix products of linear layers.
  private(set) var gemmSeconds = 0.0
  private(set) var attentionSeconds = 0.0
  private(set) var lossSeconds = 0.0
  /// By bytes moved: element-wise operations of blocks, rows of the embedding, the final norm.
  private(set) var elementWiseSeconds = 0.0
  /// Adding a micro-batch's gradients to the accumulated ones.
  private(set) var accumulationSeconds = 0.0
  /// Of the matrix products, the gradients of column-parallel layers' inputs: under sequence parallelism the gather of
  /// those inputs, which only the weights' gradients need, runs meanwhile.
  private(set) var columnInputGradientSeconds = 0.0
  /// Those of the tensor group, in the order in which each is first called for.
  private(set) var collectives: [EqualCollectives] = []
  /// Those of ranks that divide a sequence.
  private(set) var contextCollectives: [EqualCollectives] = []
  /// Those of tokens on their way to experts and back.
  private(set) var expertCollectives: [EqualCollectives] = []

  /// What the device computes before gradients are accumulated.
  var seconds: Double { gemmSeconds + attentionSeconds + lossSeconds + elementWiseSeconds }

  /// A pass of a part, added up from the model's input to its output in either
  /// direction, so that equal sums round alike.
  init(_ recipe: Recipe, _ part: Recipe.Part, _ pass: Recipe.Pass, on rates: ComputeRates) {
    self.init(recipe.steps(part, pass), inReverse: pass != .forward && pass != .recompute, on: rates)
  }

  /// - Complexity: O(operations).
  init(_ steps: [Recipe.Step], inReverse: Bool = false, on rates: ComputeRates) {
    let device = rates.device
    // Bytes and parameters first, since all of a kind take equally long.
    var bytes = 0.0, backwardBytes = 0.0, movedBytes = 0.0, parameterCount = 0
    for step in inReverse ? steps.reversed() : steps {
      switch step {
      case .collective(let collective) where collective.ranks == .tensorGroup: collectives.add(collective)
      case .collective(let collective) where collective.traffic == .expert: expertCollectives.add(collective)
      case .collective(let collective): contextCollectives.add(collective)
      case .piece(_, let operations):
        for operation in inReverse ? operations.reversed() : operations {
          switch operation {
          case .product(let layer, .forward): gemmSeconds += device.gemmSeconds(layer)
          case .product(let layer, .backward):
            let ofInput = device.inputGradientSeconds(layer)
            gemmSeconds += ofInput + device.weightGradientSeconds(layer)
            if layer.dividesOutputs { columnInputGradientSeconds += ofInput }
          case .groupedProduct(let layer, let direction):
            gemmSeconds += (direction == .backward ? 2 : 1) * device.seconds(layer)
          case .product(let layer, .inputGradient):
            let ofInput = device.inputGradientSeconds(layer)
            gemmSeconds += ofInput
            if layer.dividesOutputs { columnInputGradientSeconds += ofInput }
          case .product(let layer, .weightGradient): gemmSeconds += device.weightGradientSeconds(layer)
          case .fusedAttention(let core, let direction):
            let forward = core.forwardFLOP * device.secondsPerAttentionFLOP
            attentionSeconds += direction == .forward ? forward : 2.5 * forward
          case .headProducts(let products): attentionSeconds += device.seconds(products)
          case .scores(let byteCount): attentionSeconds += Double(byteCount) * device.secondsPerMemoryByte
          case .elementWise(let byteCount, .forward): bytes += Double(byteCount)
          case .elementWise(let byteCount, _): backwardBytes += Double(byteCount)
          case .move(let byteCount): movedBytes += Double(byteCount)
          case .loss(let entryCount):
            lossSeconds += Double(entryCount) * rates.lossBytesPerEntry * device.secondsPerMemoryByte
          case .accumulate(let count): parameterCount += count
          case .keep, .free: break
          }
        }
      }
    }
    elementWiseSeconds =
      bytes * rates.elementWiseFactor * device.secondsPerMemoryByte
      + 1.5 * (backwardBytes * rates.elementWiseFactor * device.secondsPerMemoryByte)
      + movedBytes * device.secondsPerMemoryByte
    accumulationSeconds = Double(parameterCount) * rates.accumulationBytesPerParameter * device.secondsPerMemoryByte
  }
}

/// A collective that passes call for several times.
struct EqualCollectives: Sendable {
  let collective: TensorCollective
  var count: Int
}

extension [EqualCollectives] {
  /// Counts a collective with those that move the same bytes in the same way.
  mutating func add(_ collective: TensorCollective, count: Int = 1) {
    // Few kinds: a search costs less than a dictionary.
    let equal = firstIndex {
      $0.collective.kind == collective.kind && $0.collective.ranks == collective.ranks
        && $0.collective.elementCount == collective.elementCount
        && $0.collective.elementByteCount == collective.elementByteCount
        && ($0.collective.operand == .columnInput) == (collective.operand == .columnInput)
    }
    if let equal { self[equal].count += count } else { append(EqualCollectives(collective: collective, count: count)) }
  }
}

/// What a recipe's operations are priced by: a device, and a framework's kernels on it.
struct ComputeRates: Sendable {
  let device: DeviceSpeed
  /// Time of a block's element-wise operations over that of their bytes.
  let elementWiseFactor: Double
  /// Bytes that the loss moves for each logit, forward, and as many backward.
  let lossBytesPerEntry: Double
  /// Bytes that adding a gradient moves: it is read, and what it is added to is read and written.
  let accumulationBytesPerParameter: Double

  init(
    device: DeviceSpeed, elementWiseFactor: Double, lossBytesPerEntry: Double, accumulationBytesPerParameter: Double
  ) {
    self.device = device
    self.elementWiseFactor = elementWiseFactor
    self.lossBytesPerEntry = lossBytesPerEntry
    self.accumulationBytesPerParameter = accumulationBytesPerParameter
  }

  init(_ device: DeviceSpeed, framework: DeviceProfile.Framework, job: TrainingJob) {
    self.device = device
    elementWiseFactor = framework.elementWiseFactor
    lossBytesPerEntry = framework.logitsTrafficBytesPerEntry
    accumulationBytesPerParameter =
      Double(job.precision.byteCount + 2 * job.gradientByteCount) * framework.gradientAccumulationFactor
  }
}

extension DeviceSpeed {
  /// Seconds of a linear layer, T × k by k × n.
  fileprivate func gemmSeconds(_ layer: LinearLayer) -> Double {
    gemmSeconds(Double(layer.tokenCount), Double(layer.outputCount), Double(layer.inputCount))
  }

  /// T × n by n × k.
  fileprivate func inputGradientSeconds(_ layer: LinearLayer) -> Double {
    gemmSeconds(Double(layer.tokenCount), Double(layer.inputCount), Double(layer.outputCount))
  }

  /// k × T by T × n.
  fileprivate func weightGradientSeconds(_ layer: LinearLayer) -> Double {
    gemmSeconds(Double(layer.inputCount), Double(layer.outputCount), Double(layer.tokenCount))
  }

  /// Of experts' products in one pass: `2·rows·n·k / (peak · e) · (1 + ρ½/ρ)`, ρ the rows of each expert. Few rows leave tiles
  /// partly filled, and read an expert's weights for little work.
  fileprivate func seconds(_ layer: GroupedLayer) -> Double {
    guard layer.rowCount > 0 else { return 0 }
    return layer.forwardFLOP * secondsPerGroupedFLOP * (1 + groupedHalfRows / layer.rowsPerExpert)
  }

  /// Plain batched products: as fast as other products of their size, whatever a fused kernel reaches, and on ordinary cores
  /// where matrix units cannot take the head size as it is.
  fileprivate func seconds(_ products: HeadProducts) -> Double {
    let sequence = Double(products.sequenceLength), headSize = Double(products.headSize)
    let count = Double(products.count)
    let seconds = count * gemmSeconds(sequence, sequence, headSize)
    if products.headSize % alignedHeadMultiple == 0 { return seconds }
    return max(seconds, count * 2 * sequence * sequence * headSize * secondsPerUnalignedFLOP)
  }
}
