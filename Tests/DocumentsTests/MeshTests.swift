import Documents
import TestSupport
import Testing

/// Ranks, coordinates, groups and blocks of meshes, against coordinates counted up like an odometer's.
struct MeshTests {
  /// Every axis of a random degree, most of them 1.
  private static let meshes: [Mesh] = {
    var random = SeededGenerator(seed: 15)
    return (0..<60).map { _ in
      Mesh.Axis.allCases.reduce([:]) { $0.with($1, degree: [1, 1, 2, 3, 4].randomElement(using: &random) ?? 1) }
    }
  }()

  /// The coordinates of rank 0, 1, 2, …: the innermost axis turns first, and a full turn moves the next by one.
  private static func odometer(_ mesh: Mesh) -> [[Int]] {
    var place = [Int](repeating: 0, count: Mesh.Axis.allCases.count)
    return (0..<mesh.worldSize).map { _ in
      defer {
        for (index, axis) in Mesh.Axis.allCases.enumerated() {
          place[index] += 1
          if place[index] < mesh.degree(of: axis) { break }
          place[index] = 0
        }
      }
      return place
    }
  }

  @Test func ranksAndCoordinatesAreInverse() {
    for mesh in Self.meshes {
      #expect(mesh.worldSize == Mesh.Axis.allCases.reduce(1) { $0 * mesh.degree(of: $1) })
      for (rank, expected) in Self.odometer(mesh).enumerated() {
        let place = mesh.coordinates(ofRank: rank)
        #expect(Mesh.Axis.allCases.map { place[$0] } == expected, "\(mesh), rank \(rank)")
        #expect(mesh.rank(at: place) == rank)
      }
    }
  }

  @Test func groupsAreTheRanksThatDifferOnTheirAxisAlone() {
    for mesh in Self.meshes {
      let places = Self.odometer(mesh)
      for (index, axis) in Mesh.Axis.allCases.enumerated() {
        let groups = mesh.groups(along: axis)
        #expect(groups.flatMap(\.ranks).sorted() == Array(places.indices), "\(mesh), \(axis)")
        #expect(groups.map(\.first) == groups.map(\.first).sorted())
        for group in groups {
          for rank in group.ranks {
            #expect(mesh.group(along: axis, containing: rank) == group)
            #expect(group.place(of: rank) == places[rank][index])
            #expect(
              group.ranks
                == places.indices.filter { other in
                  places[other].indices.allSatisfy { $0 == index || places[other][$0] == places[rank][$0] }
                })
          }
        }
      }
    }
  }

  @Test func blocksBelowAnAxisAreTheProductOfTheDegreesInsideIt() {
    for mesh in Self.meshes {
      var size = 1
      for axis in Mesh.Axis.allCases {
        #expect(mesh.blockSize(below: axis) == size)
        let blocks = (0..<mesh.worldSize / size).map { mesh.block($0, below: axis) }
        #expect(blocks.flatMap(Array.init) == Array(0..<mesh.worldSize))
        for (index, block) in blocks.enumerated() {
          #expect(block.allSatisfy { mesh.coordinate(ofRank: $0, along: axis) == index % mesh.degree(of: axis) })
        }
        size *= mesh.degree(of: axis)
      }
      #expect(size == mesh.worldSize)
    }
  }

  /// The example in Megatron-LM's `initialize_model_parallel`: 16 ranks, tensor 2, pipeline 4, and so 2 replicas.
  @Test func ranksAreInTheOrderOfMegatron() {
    let mesh: Mesh = [.tensor: 2, .pipeline: 4, .data: 2]
    #expect(
      mesh.groups(along: .data).map(\.ranks) == [
        [0, 2], [1, 3], [4, 6], [5, 7], [8, 10], [9, 11], [12, 14], [13, 15],
      ])
    #expect(mesh.groups(along: .tensor).map(\.ranks) == (0..<8).map { [2 * $0, 2 * $0 + 1] })
    #expect(mesh.groups(along: .pipeline).map(\.ranks) == (0..<4).map { [$0, $0 + 4, $0 + 8, $0 + 12] })
    #expect(mesh.block(1, below: .pipeline) == 4..<8)
    #expect(mesh.description == "tensor 2 × pipeline 4 × data 2")
  }

  /// With `tp-cp-ep-dp-pp` the context group of a rank steps over tensor groups, replicas over both.
  @Test func contextLiesBetweenTensorAndData() {
    let mesh: Mesh = [.data: 2, .context: 2, .tensor: 2, .worker: 2]
    #expect(mesh.group(along: .context, containing: 5).ranks == [5, 7])
    #expect(mesh.group(along: .data, containing: 5).ranks == [1, 5])
    #expect(mesh.group(along: .worker, containing: 5).ranks == [5, 13])
    #expect(mesh.listedAxes == [.tensor, .context, .data, .pipeline, .worker])
  }

  /// 24 replicas hold weights in pairs, gradients in groups of 4, optimizer states in groups of 12.
  @Test func familiesOfShardGroupsDivideADataGroup() {
    let sharding = Sharding(weightDegree: 2, gradientDegree: 4, optimizerDegree: 12)
    let mesh: Mesh = [.tensor: 2, .data: 24, .pipeline: 2]
    let data = mesh.group(along: .data, containing: 49)
    #expect(data.ranks == Array(stride(from: 49, to: 96, by: 2)))
    let replicas: [Sharding.Family: [Int]] = [
      .weights: [14, 15], .gradients: [13, 15], .optimizer: [15, 19, 23], .replicas: [3, 15], .secondary: [15],
    ]
    for (family, expected) in replicas {
      let group = sharding.group(of: family, containing: data.rank(15), in: mesh)
      #expect(group.ranks.map(data.place(of:)) == expected, "\(family)")
      #expect(sharding.groups(of: family, inDataGroup: data).flatMap(\.ranks).sorted() == data.ranks)
    }
  }
}
