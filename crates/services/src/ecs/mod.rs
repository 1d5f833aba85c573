//! Amazon ECS.
//!
//! The modules follow the resources: clusters, task definitions, tasks, services. What a decision reads becomes typed fields of
//! the record; what it does not read stands in the record's document and is given back from there.

mod account;
mod clusters;
mod definition;
mod definitions;
mod describe;
mod instances;
mod names;
mod network;
mod placement;
mod providers;
mod roles;
mod services;
mod tags;
mod tasks;

use gantry_api::ecs::*;

handlers! {
    Ecs;
    write create_cluster(CreateClusterRequest) -> CreateClusterResponse = clusters::create;
    write delete_cluster(DeleteClusterRequest) -> DeleteClusterResponse = clusters::delete;
    write update_cluster(UpdateClusterRequest) -> UpdateClusterResponse = clusters::update;
    write update_cluster_settings(UpdateClusterSettingsRequest) -> UpdateClusterSettingsResponse = clusters::update_settings;
    write put_cluster_capacity_providers(PutClusterCapacityProvidersRequest) -> PutClusterCapacityProvidersResponse
        = providers::put;
    read describe_clusters(DescribeClustersRequest) -> DescribeClustersResponse = clusters::describe;
    read list_clusters(ListClustersRequest) -> ListClustersResponse = clusters::list;
    read describe_capacity_providers(DescribeCapacityProvidersRequest) -> DescribeCapacityProvidersResponse
        = providers::describe;
    write register_task_definition(RegisterTaskDefinitionRequest) -> RegisterTaskDefinitionResponse
        = definitions::register;
    write deregister_task_definition(DeregisterTaskDefinitionRequest) -> DeregisterTaskDefinitionResponse
        = definitions::deregister;
    write delete_task_definitions(DeleteTaskDefinitionsRequest) -> DeleteTaskDefinitionsResponse = definitions::delete;
    read describe_task_definition(DescribeTaskDefinitionRequest) -> DescribeTaskDefinitionResponse
        = definitions::describe;
    read list_task_definitions(ListTaskDefinitionsRequest) -> ListTaskDefinitionsResponse = definitions::list;
    read list_task_definition_families(ListTaskDefinitionFamiliesRequest) -> ListTaskDefinitionFamiliesResponse
        = definitions::list_families;
    write run_task(RunTaskRequest) -> RunTaskResponse = tasks::run;
    write stop_task(StopTaskRequest) -> StopTaskResponse = tasks::stop;
    read describe_tasks(DescribeTasksRequest) -> DescribeTasksResponse = tasks::list::describe;
    read list_tasks(ListTasksRequest) -> ListTasksResponse = tasks::list::list;
    write create_service(CreateServiceRequest) -> CreateServiceResponse = services::create;
    write update_service(UpdateServiceRequest) -> UpdateServiceResponse = services::update;
    write delete_service(DeleteServiceRequest) -> DeleteServiceResponse = services::delete;
    read describe_services(DescribeServicesRequest) -> DescribeServicesResponse = services::describe;
    read list_services(ListServicesRequest) -> ListServicesResponse = services::list;
    read list_container_instances(ListContainerInstancesRequest) -> ListContainerInstancesResponse
        = instances::list;
    read describe_container_instances(DescribeContainerInstancesRequest) -> DescribeContainerInstancesResponse
        = instances::describe;
    write update_container_instances_state(UpdateContainerInstancesStateRequest) -> UpdateContainerInstancesStateResponse
        = instances::update_state;
    write deregister_container_instance(DeregisterContainerInstanceRequest) -> DeregisterContainerInstanceResponse
        = instances::deregister;
    write start_task(StartTaskRequest) -> StartTaskResponse = tasks::start;
    write put_attributes(PutAttributesRequest) -> PutAttributesResponse = instances::put_attributes;
    write delete_attributes(DeleteAttributesRequest) -> DeleteAttributesResponse = instances::delete_attributes;
    read list_attributes(ListAttributesRequest) -> ListAttributesResponse = instances::list_attributes;
    read list_services_by_namespace(ListServicesByNamespaceRequest) -> ListServicesByNamespaceResponse
        = services::list_by_namespace;
    write tag_resource(TagResourceRequest) -> TagResourceResponse = tags::tag;
    write untag_resource(UntagResourceRequest) -> UntagResourceResponse = tags::untag;
    read list_tags_for_resource(ListTagsForResourceRequest) -> ListTagsForResourceResponse = tags::list;
    write put_account_setting(PutAccountSettingRequest) -> PutAccountSettingResponse = account::put;
    write put_account_setting_default(PutAccountSettingDefaultRequest) -> PutAccountSettingDefaultResponse
        = account::put_default;
    write delete_account_setting(DeleteAccountSettingRequest) -> DeleteAccountSettingResponse = account::delete;
    read list_account_settings(ListAccountSettingsRequest) -> ListAccountSettingsResponse = account::list;
}
