import JSONText

/// What a launcher of zeroth-order training has to know of a plan: no framework that is known runs it.
extension Plan {
  /// Which ranks evaluate which losses, what each keeps of the weights, and what the directions are made from; nil for
  /// plans that train by gradients.
  var zerothOrderSection: JSON? {
    guard strategy.update == .zerothOrder else { return nil }
    let method = job.zerothOrder, degree = strategy.perturbationDegree
    let slices = strategy.sharding.weightDegree
    /// The ranks whose place on the data axis leaves a remainder.
    func ranks(_ remainder: Int, of divisor: Int) -> JSON {
      .integers(
        (0..<strategy.worldSize).filter {
          strategy.mesh.coordinate(ofRank: $0, along: .data) % divisor == remainder
        })
    }
    guard case .object(let settings) = method.json else { return nil }
    let members = (0..<degree).map { member in
      object(
        ("ranks", ranks(member, of: degree)),
        (
          "losses",
          .array(
            method.evaluations(ofMember: member, among: degree).map {
              object(("direction", .integer($0.direction)), ("sign", .integer($0.sign)))
            })
        ))
    }
    let owners = slices > 1 ? (0..<slices).map { ranks($0, of: slices) } : []
    let hosted = strategy.hosting.holdsWeights ? hostedLayers.map { JSON.integers($0) } : []
    return .object(
      settings + [
        JSONMember("evaluations", .array(members))
      ] + (owners.isEmpty ? [] : [JSONMember("slices", .array(owners))])
        + (hosted.isEmpty ? [] : [JSONMember("hosted_layers", .array(hosted))]))
  }

  /// By stage, the layers whose weights lie on the host between their visits.
  package var hostedLayers: [[Int]] {
    zip(split.stages(of: LayerKinds(of: job.model)), split.layerRanges).map { stage, range in
      let count = stage.hostedLayerCount(strategy.hosting)
      return range.filter { Hosting.isSpread($0 - range.lowerBound, count: count, of: range.count) }
    }
  }
}
