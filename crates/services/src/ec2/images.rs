//! Amazon's machine images, as people's templates name them: by the public parameters that lead to them.
//!
//! Here a machine is not made from an image; an image is what a launch configuration or an instance names. Ids are the same in
//! every installation, and, as at AWS, others in each region.

use gantry_types::Region;
use sha2::{Digest as _, Sha256};

/// One image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) name: &'static str,
    /// `x86_64` or `arm64`.
    pub(crate) architecture: &'static str,
    pub(crate) description: &'static str,
    /// The parameters that have its id as their value.
    pub(crate) parameters: &'static [&'static str],
    /// The path below which ECS describes it.
    pub(crate) ecs_path: Option<&'static str>,
    pub(crate) operating_system: &'static str,
}

const AL2023: &str = "Amazon Linux 2023";
const AL2: &str = "Amazon Linux 2";

pub(crate) static IMAGES: [Image; 8] = [
    Image {
        name: "amzn2-ami-ecs-hvm-2.0.20250610-x86_64-ebs",
        architecture: "x86_64",
        description: "Amazon Linux AMI 2.0.20250610 x86_64 ECS HVM GP2",
        parameters: &[],
        ecs_path: Some("/aws/service/ecs/optimized-ami/amazon-linux-2"),
        operating_system: AL2,
    },
    Image {
        name: "amzn2-ami-ecs-hvm-2.0.20250610-arm64-ebs",
        architecture: "arm64",
        description: "Amazon Linux AMI 2.0.20250610 arm64 ECS HVM GP2",
        parameters: &[],
        ecs_path: Some("/aws/service/ecs/optimized-ami/amazon-linux-2/arm64"),
        operating_system: AL2,
    },
    Image {
        name: "al2023-ami-ecs-hvm-2023.0.20250610-kernel-6.1-x86_64",
        architecture: "x86_64",
        description: "Amazon Linux AMI 2023.0.20250610 x86_64 ECS HVM EBS",
        parameters: &[],
        ecs_path: Some("/aws/service/ecs/optimized-ami/amazon-linux-2023"),
        operating_system: AL2023,
    },
    Image {
        name: "al2023-ami-ecs-hvm-2023.0.20250610-kernel-6.1-arm64",
        architecture: "arm64",
        description: "Amazon Linux AMI 2023.0.20250610 arm64 ECS HVM EBS",
        parameters: &[],
        ecs_path: Some("/aws/service/ecs/optimized-ami/amazon-linux-2023/arm64"),
        operating_system: AL2023,
    },
    Image {
        name: "amzn2-ami-hvm-2.0.20250610.0-x86_64-gp2",
        architecture: "x86_64",
        description: "Amazon Linux 2 AMI 2.0.20250610.0 x86_64 HVM gp2",
        parameters: &[
            "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-ebs",
            "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2",
            "/aws/service/ami-amazon-linux-latest/amzn2-ami-kernel-5.10-hvm-x86_64-ebs",
            "/aws/service/ami-amazon-linux-latest/amzn2-ami-kernel-5.10-hvm-x86_64-gp2",
        ],
        ecs_path: None,
        operating_system: AL2,
    },
    Image {
        name: "amzn2-ami-hvm-2.0.20250610.0-arm64-gp2",
        architecture: "arm64",
        description: "Amazon Linux 2 LTS Arm64 AMI 2.0.20250610.0 arm64 HVM gp2",
        parameters: &[
            "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-arm64-gp2",
            "/aws/service/ami-amazon-linux-latest/amzn2-ami-kernel-5.10-hvm-arm64-gp2",
        ],
        ecs_path: None,
        operating_system: AL2,
    },
    Image {
        name: "al2023-ami-2023.7.20250609.0-kernel-6.1-x86_64",
        architecture: "x86_64",
        description: "Amazon Linux 2023 AMI 2023.7.20250609.0 x86_64 HVM kernel-6.1",
        parameters: &[
            "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-6.1-x86_64",
            "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
            "/aws/service/ami-amazon-linux-latest/al2023-ami-minimal-kernel-6.1-x86_64",
            "/aws/service/ami-amazon-linux-latest/al2023-ami-minimal-kernel-default-x86_64",
        ],
        ecs_path: None,
        operating_system: AL2023,
    },
    Image {
        name: "al2023-ami-2023.7.20250609.0-kernel-6.1-arm64",
        architecture: "arm64",
        description: "Amazon Linux 2023 AMI 2023.7.20250609.0 arm64 HVM kernel-6.1",
        parameters: &[
            "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-6.1-arm64",
            "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64",
            "/aws/service/ami-amazon-linux-latest/al2023-ami-minimal-kernel-6.1-arm64",
            "/aws/service/ami-amazon-linux-latest/al2023-ami-minimal-kernel-default-arm64",
        ],
        ecs_path: None,
        operating_system: AL2023,
    },
];

impl Image {
    /// `ami-` and 17 hexadecimal digits, the first of them 0, as AWS's own images have.
    pub(crate) fn id(&self, region: &Region) -> String {
        let digest = Sha256::digest(format!("{region}/{}", self.name));
        let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("ami-0{hex}")
    }
}
