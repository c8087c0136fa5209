/// Exchanges of tensor groups beside the products that make or need what is exchanged.
extension Capabilities {
  /// How a framework runs tensor groups' exchanges beside products.
  package struct TensorOverlapOffer: Sendable, Equatable {
    /// As the framework's users say it.
    package let words: String
    /// Whether it does so by itself wherever it divides the sequence among tensor groups: no strategy has to ask for it.
    package var isAlways = false
    /// What blocks may multiply in.
    package var precisions = Precision.allCases
    /// Rows of which a rank has a multiple where blocks of 32 numbers have scales (MXFP8).
    package var rowsOfBlocks = 1
    /// Buffers of a micro-batch's tokens on the whole group, T·h numbers each, that a device has for it throughout; 0 where nobody
    /// has to ask, whose runs' memory tells of them.
    package var bufferCount = 0
    /// Whether layers may have no products but those around attention and the two of a feed-forward part.
    package var ofUsualProductsOnly = false
  }

  /// Why the framework does not overlap tensor groups' exchanges; nil if it does, or nobody asks.
  package func refusal(ofTensorOverlap strategy: Strategy) -> Refusal? {
    guard strategy.overlapsTensorExchange, tensorOverlap == nil else { return nil }
    return Refusal("\(label) has no overlap of tensor exchanges", nearest: Self.notOverlapped)
  }

  /// Why the framework does not overlap them, or not in a model's training; nil if it does, or nobody asks.
  ///
  /// - Parameter model: nil where nothing is known of it.
  package func refusal(
    ofTensorOverlap strategy: Strategy, model: ModelDescription?, precision: Precision, sequenceLength: Int
  ) -> Refusal? {
    guard strategy.overlapsTensorExchange else { return nil }
    guard let offer = tensorOverlap else { return self.refusal(ofTensorOverlap: strategy) }
    func refusal(_ what: String) -> Refusal {
      Refusal("\(label) overlaps no tensor exchanges \(what)", nearest: Self.notOverlapped)
    }
    if !offer.precisions.contains(precision) { return refusal("in \(precision.rawValue)") }
    if offer.ofUsualProductsOnly {
      if model?.latent != nil { return refusal("of models with latent attention") }
      if model?.predictionDepth ?? 0 > 0 { return refusal("of models that predict further tokens") }
    }
    let rows = strategy.microBatch * sequenceLength / (strategy.contextDegree * strategy.tensorDegree)
    if precision == .mxfp8, rows % offer.rowsOfBlocks != 0 {
      return refusal("in mxfp8 of other than multiples of \(offer.rowsOfBlocks) tokens a rank")
    }
    return nil
  }

  private static let notOverlapped = "overlap_tensor_exchange=false"
}

extension DeviceProfile.Framework {
  /// Whether the share of exchanges that hides (``tensorOverlapFraction``) hides where a strategy asks for it only: of frameworks
  /// whose table says so. All others' runs, which the share was told by, had it without being asked.
  package var overlapsTensorExchangesWhereAsked: Bool {
    Capabilities.named(name)?.tensorOverlap.map { !$0.isAlways } ?? false
  }

  /// Buffers of T·h numbers that a device has where a strategy asks for exchanges beside products, see
  /// ``Capabilities/TensorOverlapOffer/bufferCount``.
  package func tensorOverlapBufferCount(isAsked: Bool) -> Int {
    isAsked ? Capabilities.named(name)?.tensorOverlap?.bufferCount ?? 0 : 0
  }

  /// The framework as it runs a strategy that does, or does not, ask for tensor groups' exchanges beside products.
  package func asked(toOverlapTensorExchanges isAsked: Bool) -> Self {
    guard !isAsked, tensorOverlapFraction > 0, overlapsTensorExchangesWhereAsked else { return self }
    var framework = self
    framework.tensorOverlapFraction = 0
    return framework
  }
}
